"use strict";
const STEP = 50; // rows of utterances drawn at once
const collator = new Intl.Collator();

const make = (tag, fields = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), fields);
  node.append(...children);
  return node;
};
const data = (id) => JSON.parse(document.getElementById(id).textContent);

// A click on a head sorts rows by its column, a second click the other way; what is empty is least.
function sortBy(table, rows, cell, show) {
  table.tHead.addEventListener("click", (event) => {
    const head = event.target.closest("th");
    if (!event.target.closest("button")) return;
    const text = (row) => cell(row, head.cellIndex);
    const number = rows.every((row) => !isNaN(text(row)));
    const value = (row) => (text(row) === "" ? -Infinity : +text(row));
    const before = head.getAttribute("aria-sort");
    const falling = before ? before === "ascending" : number;
    const compare = number
      ? (a, b) => value(a) - value(b)
      : (a, b) => collator.compare(text(a), text(b));
    rows.sort(falling ? (a, b) => compare(b, a) : compare);
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", falling ? "descending" : "ascending");
    show();
  });
}

for (const table of document.querySelectorAll("table.sortable:not(.utterances)")) {
  const rows = [...table.tBodies[0].rows];
  const cell = (row, column) => row.cells[column].textContent;
  sortBy(table, rows, cell, () => table.tBodies[0].append(...rows));
}

// A table of class utterances draws the rows of its data as they come in sight. Its form shows
// those that hold a text and are of a kind.
for (const table of document.querySelectorAll("table.utterances")) {
  const { names, rows } = data(table.dataset.rows);
  const heads = [...table.tHead.rows[0].cells].map((head) => head.textContent);
  const form = document.querySelector(`form[data-table="${table.id}"]`);
  const body = table.tBodies[0];
  const end = table.nextElementSibling;
  let found = rows;
  let drawn = 0;
  const more = () => {
    body.append(...found.slice(drawn, drawn + STEP).map((row) => drawRow(row, names, heads)));
    drawn = Math.min(drawn + STEP, found.length);
    end.hidden = drawn === found.length;
  };
  const show = () => {
    const text = form.elements.text.value.toLowerCase();
    const kind = form.elements.kind.value;
    found = rows.filter(
      (row) =>
        (!kind || row.kinds.split(" ").includes(kind)) && (!text || textOf(row).includes(text)),
    );
    form.querySelector("output").textContent = `${found.length} of ${rows.length}`;
    body.replaceChildren();
    drawn = 0;
    more();
  };
  sortBy(table, rows, (row, column) => [row.id, ...row.figures, textOf(row)][column], show);
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  show();
  const watch = new IntersectionObserver(
    (entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      more();
      watch.unobserve(end); // it may still be in sight, of which only a new look tells
      watch.observe(end);
    },
    { rootMargin: "1000px" },
  );
  watch.observe(end);
}

function textOf(row) {
  const word = (column, line) => (typeof column === "string" ? column : column[line]);
  const lines = [0, ...row.said.flatMap((c) => (typeof c === "string" ? [] : [...c.keys()]))];
  const line = (i) => row.said.map((column) => word(column, i)).filter(Boolean).join(" ");
  row.text ??= [row.id, row.speaker, ...[...new Set(lines)].map(line)].join("\n").toLowerCase();
  return row.text;
}

function drawRow(row, names, heads) {
  const who = make("td", {}, row.id, make("div", { className: "faint" }, row.speaker));
  const figures = row.figures.map((figure, i) => {
    const cell = make("td", {}, figure);
    cell.dataset.head = heads[i + 1];
    return cell;
  });
  const line = make("tr", {}, who, ...figures, make("td", {}, drawSaid(row.said, names)));
  if (row.exhibit) {
    const button = make("button", { type: "button", className: "listen" }, "listen");
    button.setAttribute("aria-expanded", "false");
    button.addEventListener("click", () => {
      const open = button.getAttribute("aria-expanded") === "true";
      button.setAttribute("aria-expanded", String(!open));
      if (open) return line.nextElementSibling.remove();
      const { node, play } = drawExhibit(data(row.exhibit));
      line.after(make("tr", { className: "exhibit" }, make("td", { colSpan: heads.length }, node)));
      play(0, Infinity);
    });
    who.append(button);
  }
  return line;
}

// What was said, and below each word what each system heard for it.
function drawSaid(columns, names) {
  const text = make("div", { className: "text", dir: "auto" });
  for (const column of columns) {
    const [said, ...heard] = typeof column === "string" ? names.map(() => column) : column;
    const below = heard.map((word) => drawWord(said, word));
    text.append(make("span", { className: "place" }, make("span", {}, said ?? "\u00a0"), ...below), " ");
  }
  const who = make("div", { className: "who" }, ...names.map((name) => make("span", {}, name)));
  return make("div", { className: "said" }, who, text);
}

function drawWord(said, heard) {
  if (heard === said) return make("span", { className: "faint" }, heard ?? "\u00a0");
  if (heard === null) return make("del", {}, said);
  if (said === null) return make("ins", {}, heard);
  return make("mark", { title: `for: ${said}` }, heard);
}

// Sound, picture, and the words where they are in it; a click on any of them plays from there.
function drawExhibit({ audio: source, picture, seconds, lanes, notes }) {
  const audio = make("audio", { controls: true, src: source });
  const cursor = make("div", { className: "cursor" });
  const percent = (time) => `${(100 * time) / seconds}%`;
  let until = Infinity;
  const play = (start, stop) => {
    audio.currentTime = start;
    until = stop;
    audio.play();
  };
  const drawLane = ([name, words]) => {
    const lane = make("div", { className: "lane" });
    lane.setAttribute("aria-label", name);
    words.forEach(([text, start, stop, kind, confidence], i) => {
      const title = `${text}: ${start.toFixed(2)} to ${stop.toFixed(2)} s, confidence ${confidence}`;
      const word = make("button", { type: "button", className: kind, title }, text);
      const next = i + 1 < words.length ? words[i + 1][1] : seconds;
      word.style.left = percent(start);
      word.style.minWidth = percent(stop - start);
      word.style.maxWidth = percent(next - start);
      word.addEventListener("click", () => play(start, stop));
      lane.append(word);
    });
    return lane;
  };
  const image = make("img", { src: picture, alt: "spectrogram" });
  image.addEventListener("click", (event) => {
    play((event.offsetX / image.clientWidth) * seconds, Infinity);
  });
  const edges = lanes[0][1].flatMap(([, start, stop]) => [start, stop]).map((time) => {
    const edge = make("div", { className: "edge" });
    edge.style.left = percent(time);
    return edge;
  });
  const strip = make(
    "div", { className: "strip" },
    ...lanes.map(drawLane), make("div", { className: "picture" }, image, ...edges, cursor),
  );
  strip.style.width = `${Math.ceil(12 * seconds)}rem`;
  const scroller = make("div", { className: "scroll" }, strip);
  const who = make("div", { className: "who" }, ...lanes.map(([name]) => make("span", {}, name)));
  const follow = () => {
    cursor.style.left = percent(audio.currentTime);
    if (audio.currentTime >= until) audio.pause();
    if (audio.paused) return;
    const middle = (audio.currentTime / seconds) * strip.clientWidth - scroller.clientWidth / 2;
    if (strip.clientWidth > scroller.clientWidth) scroller.scrollLeft = middle;
    requestAnimationFrame(follow);
  };
  audio.addEventListener("play", follow);
  audio.addEventListener("seeked", follow);
  audio.addEventListener("pause", () => (until = Infinity));
  const said = notes.map((note) => make("p", { className: "faint" }, note));
  return { node: make("div", {}, audio, make("div", { className: "lanes" }, who, scroller), ...said), play };
}
