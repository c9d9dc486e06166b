/** Splitting an object: a part of its mask in this frame becomes a new object, the smaller parts or what a lasso goes around. */

export function createSplit(store, edits, objects, labels) {
  /** @type {import("./state.js").Tool} the tool before the lasso */
  let before = "click";

  async function send(frame, object, outline) {
    const answer = await edits.split(frame, object, outline);
    const now = store.get();
    if (!answer || now.frame !== frame || now.object !== object) return; // somebody has gone on meanwhile
    objects.choose(answer.id);
    labels.ask(answer.id);
  }

  /** The part is not split off: the lasso drops its outline, and the tool is the one before. */
  function end() {
    const { splitting, tool } = store.get();
    if (splitting) store.set({ splitting: null, tool: tool === "lasso" ? before : tool });
  }

  store.on(["frame", "tool", "object"], () => {
    const { splitting, frame, tool, object } = store.get();
    if (splitting && (splitting.frame !== frame || splitting.object !== object || tool !== "lasso")) end();
  });

  return {
    end,
    /** All connected parts except the largest become one new object. */
    parts: (frame, object) => send(frame, object, null),
    /** The next outline of the lasso goes around the part. */
    draw(frame, object) {
      before = store.get().tool;
      store.set({ tool: "lasso", point: null, splitting: { frame, object } });
    },
    /** @param {[number, number][]} outline that was closed @returns {boolean} whether it was for this */
    take(outline) {
      const { splitting } = store.get();
      if (!splitting) return false;
      store.set({ tool: before, splitting: null });
      send(splitting.frame, splitting.object, outline);
      return true;
    },
  };
}
