/** What the confidence of a mask, the IoU to be expected, says in words; the limits are those of `run_files.py`. */
const UNCERTAIN = 0.79, LOST = 0.3;

/** @param {number} value @returns {"confident"|"uncertain"|"lost"} */
export const frameState = (value) => value < LOST ? "lost" : value < UNCERTAIN ? "uncertain" : "confident";

/** @param {number} value @param {string} [name] of the object that is meant, where there are several */
export const inWords = (value, name = "") => {
  const words = value < LOST ? "lost" : `confidence ${value.toFixed(2)}`;
  return name ? `${words}: ${name}` : words;
};
