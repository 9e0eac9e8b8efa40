// Shows an explorer's picture, and tells the kernel which cell was clicked or dragged over.
// A pick area is a rectangle with data-pick (what it means), data-rows and data-columns.
function render({ model, el }) {
  el.classList.add("cnncourse-canvas");
  const draw = () => { el.innerHTML = model.get("svg"); };
  draw();
  model.on("change:svg", draw);

  let last = "";
  const pick = (event) => {
    // The picture is drawn anew after each move, so the area is looked up each time.
    const area = document.elementFromPoint(event.clientX, event.clientY)?.closest("[data-pick]");
    if (!area || !el.contains(area)) return;
    const { left, top, width, height } = area.getBoundingClientRect();
    const place = (at, start, size, count) =>
      Math.min(count - 1, Math.max(0, Math.floor(((at - start) / size) * count)));
    const row = place(event.clientY, top, height, Number(area.dataset.rows));
    const column = place(event.clientX, left, width, Number(area.dataset.columns));
    const now = `${area.dataset.pick} ${row} ${column}`;
    if (now === last) return;
    last = now;
    model.send({ pick: area.dataset.pick, row, column });
  };
  el.addEventListener("pointerdown", (event) => { last = ""; pick(event); });
  el.addEventListener("pointermove", (event) => { if (event.buttons & 1) pick(event); });
}
export default { render };
