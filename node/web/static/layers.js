"use strict";
/* Sliders over pictures: how much of a layer is seen. Without scripts the layers are seen as the style sheet has them. */
document.addEventListener("input", (event) => {
  const slider = event.target;
  if (!(slider instanceof HTMLInputElement) || slider.dataset.opacity === undefined) return;
  const layer = slider.closest("figure")?.querySelector(`[data-layer="${CSS.escape(slider.dataset.opacity)}"]`);
  if (layer) layer.style.opacity = String(slider.value / 100);
});
