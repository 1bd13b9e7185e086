"use strict";
// Tables of class sortable: a click on a head sorts by its column, a second click the other way.
for (const table of document.querySelectorAll("table.sortable")) {
  table.tHead.addEventListener("click", (event) => {
    const head = event.target.closest("th");
    if (!event.target.closest("button")) return;
    const key = (row) => row.cells[head.cellIndex].textContent;
    const rows = [...table.tBodies[0].rows];
    const number = rows.every((row) => !isNaN(key(row)));
    const before = head.getAttribute("aria-sort");
    const falling = before ? before === "ascending" : number;
    const compare = number ? (a, b) => key(a) - key(b) : (a, b) => key(a).localeCompare(key(b));
    rows.sort(falling ? (a, b) => compare(b, a) : compare);
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", falling ? "descending" : "ascending");
    table.tBodies[0].append(...rows);
  });
}
// A form of class filter shows those rows of its table that hold a text and are of a kind.
for (const form of document.querySelectorAll("form.filter")) {
  const rows = [...document.getElementById(form.dataset.table).tBodies[0].rows];
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const apply = () => {
    const text = form.elements.text.value.toLowerCase();
    const kind = form.elements.kind.value;
    let shown = 0;
    rows.forEach((row, i) => {
      row.hidden = !(texts[i].includes(text) && (!kind || row.dataset.kind.split(" ").includes(kind)));
      shown += !row.hidden;
    });
    form.querySelector("output").textContent = `${shown} of ${rows.length}`;
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  apply();
}
