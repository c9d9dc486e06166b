/** The phases of a job, in words, and what each counts. */
export const PHASES = {
  starting: "Loading the network", loading: "Loading the network", reading: "Reading frames", encoding: "Computing features",
  measuring: "Measuring the speed", training: "Training", checking: "Checking the keyframes", segmenting: "Segmenting", stopping: "Stopping",
};

export const UNITS = { reading: "frame", training: "step", checking: "keyframe", segmenting: "step" };
