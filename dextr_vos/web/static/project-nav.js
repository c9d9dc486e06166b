/** In a project: the way back to the list of its clips, and on to the next one. */
import { clipAddress } from "./api.js";
import { el, setText } from "./dom.js";

export function createProjectNav(store) {
  const next = /** @type {HTMLAnchorElement} */ (el("next-clip"));

  store.on(["server"], () => {
    const { server } = store.get();
    const project = server?.project;
    el("project-nav").hidden = !project;
    if (!project) return;
    setText(el("project-place"), `${project.place} of ${project.clips}`);
    next.hidden = !project.next;
    if (!project.next) return;
    next.href = clipAddress(project.next);
    next.dataset.tip = `Next clip: ${project.next}`;
  });
}
