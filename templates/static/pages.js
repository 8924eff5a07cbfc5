// An answer that no longer follows from what is typed says so, until it is assessed anew.
"use strict";
(() => {
  const form = document.getElementById("screening");
  const result = document.getElementById("result");
  const note = document.getElementById("stale");
  if (!form || !result || !note) return;
  const mark = (text) => { result.classList.toggle("stale", text !== ""); note.textContent = text; };
  const failed = () => mark("Not assessed anew: what stands here is not about what is typed. Press Assess.");
  for (const kind of ["input", "change"]) {
    form.addEventListener(kind, (event) => {
      if (event.target.closest(".save, #source")) return;
      mark("Being assessed anew …");
    });
  }
  document.addEventListener("htmx:afterSwap", () => mark(""));
  const halted = () => mark("Not assessed anew: a field with a dashed outline is filled in by half. Complete it or empty it.");
  document.addEventListener("htmx:validation:halted", halted);
  for (const kind of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) document.addEventListener(kind, failed);
})();
