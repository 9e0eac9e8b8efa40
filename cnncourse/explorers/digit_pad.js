// A pad to draw on. Strokes are drawn here at once, whatever the kernel is doing, and told to it as
// points, 0 to 1 across the pad. Python draws the same strokes for the network: see writing.py.
const SEND = 120; // ms: no more often while the pen moves
const NEAR = 0.005; // points closer to each other than this say nothing new
const OFF = 0.2; // how far off the pad the pen is followed
const STEP = 1 / 28, FINE = 1 / 112; // an arrow key; with Shift
const PIXELS = 560; // of the canvas: twice its size on the page
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const HTML = `
  <div class="paper">
    <canvas width="${PIXELS}" height="${PIXELS}" tabindex="0" role="application"
      aria-roledescription="drawing pad" aria-label="Draw a digit. Arrow keys move the pen, Space
      lowers and lifts it, Delete clears the pad."></canvas>
    <div class="pen"></div>
  </div>
  <div class="buttons">
    <button type="button" class="jupyter-widgets jupyter-button undo">undo stroke</button>
    <button type="button" class="jupyter-widgets jupyter-button clear">clear</button>
  </div>
  <p class="help">Draw with mouse, pen or finger. By keyboard: <kbd>arrows</kbd> move the pen
    (<kbd>Shift</kbd>: a little), <kbd>Space</kbd> lowers and lifts it, <kbd>Delete</kbd> clears,
    <kbd>Ctrl+Z</kbd> takes back a stroke.</p>
  <p class="where" role="status"></p>
  <p class="said" role="status"></p>`;

function render({ model, el }) {
  el.classList.add("cnncourse-pad");
  el.setAttribute("data-lm-suppress-shortcuts", "true"); // JupyterLab's keys are not for the pad
  el.innerHTML = HTML;
  const find = (name) => el.querySelector(name);
  const canvas = find("canvas"), pen = find(".pen"), where = find(".where"), said = find(".said");

  let stroke = null; // the one being drawn, after those of the model
  let finished = []; // the model's before it
  let pointer = null, timer = 0, sent = 0, telling = false, asked = false;
  let at = [0.5, 0.5], lowered = false;
  const held = new Set();

  const strokes = () => (stroke ? [...finished, [...stroke]] : model.get("value").strokes ?? []);

  // Painting

  const context = canvas.getContext("2d");
  const paper = document.createElement("canvas");
  const paintGround = () => {
    const side = model.get("side"), bytes = model.get("ground");
    if (!model.get("value").ground || bytes.byteLength !== side * side) return;
    paper.width = paper.height = side;
    const pixels = new ImageData(side, side);
    for (let i = 0; i < side * side; i++) pixels.data.set([28, 39, 51, bytes.getUint8(i)], 4 * i);
    paper.getContext("2d").putImageData(pixels, 0, 0);
    context.drawImage(paper, 0, 0, PIXELS, PIXELS);
  };
  const paint = () => {
    asked = false;
    context.clearRect(0, 0, PIXELS, PIXELS);
    paintGround();
    context.strokeStyle = "#1c2733";
    context.lineWidth = model.get("pen") * PIXELS;
    context.lineCap = context.lineJoin = "round";
    for (const points of strokes()) {
      context.beginPath();
      for (const [x, y] of points) context.lineTo(x * PIXELS, y * PIXELS);
      const [x, y] = points.at(-1);
      context.lineTo(x * PIXELS, y * PIXELS + 0.01); // a single point leaves a dot
      context.stroke();
    }
  };
  const repaint = () => {
    if (!asked) requestAnimationFrame(paint);
    asked = true;
  };

  // Telling the kernel

  const tell = (value) => {
    clearTimeout(timer);
    [timer, sent, telling] = [0, performance.now(), true];
    model.set("value", { ground: model.get("value").ground, ...value });
    telling = false;
    model.save_changes();
    repaint();
  };
  const tellSoon = () => {
    timer ||= setTimeout(() => tell({ strokes: strokes() }), sent + SEND - performance.now());
  };

  // Strokes, whether by pointer or by keys

  const begin = (point) => {
    finished = strokes();
    stroke = [point];
    repaint();
    tellSoon();
  };
  const extend = (point) => {
    const [x, y] = stroke.at(-1);
    if (Math.hypot(point[0] - x, point[1] - y) < NEAR) return;
    stroke.push(point);
    repaint();
    tellSoon();
  };
  const end = () => {
    if (!stroke) return;
    const all = strokes();
    stroke = pointer = null;
    lower(false);
    tell({ strokes: all });
  };
  const undo = () => {
    end();
    tell({ strokes: strokes().slice(0, -1) });
  };
  const clear = () => {
    end();
    tell({ strokes: [], ground: false });
  };
  find(".undo").addEventListener("click", undo);
  find(".clear").addEventListener("click", clear);

  // Pointer

  const pointOf = ({ clientX, clientY }) => {
    const { left, top, width, height } = canvas.getBoundingClientRect();
    const place = (share) => Math.round(1e4 * Math.min(1 + OFF, Math.max(-OFF, share))) / 1e4;
    return [place((clientX - left) / width), place((clientY - top) / height)];
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || pointer !== null) return;
    event.preventDefault();
    el.classList.add("pointed"); // no pen and no frame for those who use neither
    canvas.focus({ preventScroll: true });
    end(); // a stroke by keys
    showPen();
    pointer = event.pointerId;
    canvas.setPointerCapture(pointer);
    begin(pointOf(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerId !== pointer) return;
    const passed = event.getCoalescedEvents?.() ?? [];
    for (const each of passed.length ? passed : [event]) extend(pointOf(each));
  });
  for (const name of ["pointerup", "pointercancel", "lostpointercapture"])
    canvas.addEventListener(name, (event) => { if (event.pointerId === pointer) end(); });

  // Keyboard

  const lower = (down) => {
    lowered = down;
    pen.classList.toggle("down", down);
  };
  const showPen = (words = "") => {
    Object.assign(pen.style, { left: `${100 * at[0]}%`, top: `${100 * at[1]}%` });
    pen.style.width = pen.style.height = `${100 * model.get("pen")}%`;
    where.textContent = words;
  };
  const move = (step) => {
    for (const key of held)
      at = at.map((value, axis) => Math.min(1, Math.max(0, value + step * ARROWS[key][axis])));
    if (lowered) extend(at);
  };
  canvas.addEventListener("keydown", (event) => {
    el.classList.remove("pointed");
    const { key, shiftKey, ctrlKey, metaKey } = event;
    if (key in ARROWS) {
      held.add(key);
      move(shiftKey ? FINE : STEP);
    } else if (key === " ") {
      if (lowered) end();
      else { lower(true); begin(at); }
    } else if (key === "Escape") end();
    else if (key === "Delete" || key === "Backspace") clear();
    else if (key.toLowerCase() === "z" && (ctrlKey || metaKey)) undo();
    else return;
    event.preventDefault();
    event.stopPropagation();
    const [right, down] = at.map((share) => Math.round(100 * share));
    showPen(`pen ${lowered ? "down" : "up"}, ${right} % from the left, ${down} % from the top`);
  });
  canvas.addEventListener("keyup", ({ key }) => held.delete(key));
  canvas.addEventListener("blur", () => {
    el.classList.remove("pointed");
    held.clear();
    if (lowered) end();
  });

  // What the kernel says

  const answered = () => { said.textContent = model.get("said"); };
  const replaced = () => {
    if (telling) return;
    stroke = pointer = null; // the kernel, or another view, has put something else there
    lower(false);
    clearTimeout(timer);
    timer = 0;
    repaint();
  };
  model.on("change:value", replaced);
  model.on("change:ground", repaint);
  model.on("change:said", answered);
  showPen();
  answered();
  paint();
  return () => {
    model.off("change:value", replaced);
    model.off("change:ground", repaint);
    model.off("change:said", answered);
  };
}
export default { render };
