// The page: a recording comes in, its words come back while it is recognised.
import { Player, clock, isAt, surface } from "./player.js";
import { Recorder } from "./recorder.js";

const $ = (id) => document.getElementById(id);
const player = new Player($("wave"), moved);
const recorder = new Recorder({ level: drawLevel, end: recorded });
let limits = {};
let running = null; // the request whose answer is awaited
let levels = [];
let buttons = []; // of the words, in their order

// ------------------------------------------------------------------ what goes in

async function take(file, known = "") {
  running?.abort();
  running = new AbortController();
  const { signal } = running;
  const begin = performance.now();
  begun(file.name, known);
  try {
    refuse(file);
    const [shown] = await Promise.all([player.load(file), recognise(file, signal)]);
    if (signal.aborted) return;
    $("play").disabled = !shown;
    if (!shown) player.draw();
    finished((performance.now() - begin) / 1000, shown);
  } catch (error) {
    if (signal.aborted) return;
    fail(error instanceof TypeError ? "The server does not answer. Is it still running?" : error.message);
  }
}

function refuse(file) {
  if (!file.size) throw new Error(`${file.name}: the file is empty (0 bytes).`);
  if (file.size > limits.max_megabytes * 1e6)
    throw new Error(
      `${file.name}: it has ${Math.ceil(file.size / 1e6)} MB, and at most ${limits.max_megabytes} MB ` +
        "are taken here. Send it in parts, or as FLAC, MP3 or Opus, which are smaller.");
}

// Reads the answer as it is written: a line of JSON for each piece, then one with all formats.
async function recognise(file, signal) {
  const body = new FormData();
  body.append("file", file, file.name);
  const answer = await fetch("transcribe?format=lines", { method: "POST", body, signal });
  if (!answer.ok) throw new Error((await answer.json()).error);
  let rest = "";
  for await (const text of texts(answer.body)) {
    const lines = (rest + text).split("\n");
    rest = lines.pop();
    for (const line of lines) heard(JSON.parse(line));
  }
}

async function* texts(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  for (let part; !(part = await reader.read()).done; ) yield part.value;
}

// ------------------------------------------------------------------ what comes back

function begun(name, known) {
  for (const url of document.querySelectorAll("#files a")) URL.revokeObjectURL(url.href);
  $("problem").hidden = true;
  $("result").hidden = false;
  $("files").hidden = $("legend").hidden = $("known").hidden = true;
  $("name").textContent = name;
  $("known").textContent = known && `What was said: ${known}`;
  $("status").textContent = "listening …";
  $("words").replaceChildren();
  $("progress").hidden = false;
  $("progress").removeAttribute("value");
  buttons = [];
}

function heard(line) {
  if (line.error) throw new Error(line.error);
  if (line.formats) return offer(line.formats);
  if (player.buffer) $("progress").value = line.duration / player.duration;
  const piece = Object.assign(document.createElement("p"), { className: "piece" });
  for (const word of line.words) piece.append(wordButton(word));
  if (line.words.length) $("words").append(piece);
  player.add(line.words, line.duration);
}

function wordButton(word) {
  const button = Object.assign(document.createElement("button"), { className: "word", type: "button" });
  const part = (tag, text) => Object.assign(document.createElement(tag), { textContent: text });
  button.append(part("b", word.text), part("i", ""), part("small", clock(word.start)));
  button.style.setProperty("--sure", word.confidence);
  const percent = Math.round(100 * word.confidence);
  button.title = `${percent} % sure, ${clock(word.start, 2)} to ${clock(word.end, 2)}`;
  button.setAttribute("aria-label", `${word.text}, ${button.title}`);
  button.addEventListener("click", () => player.playWord(word));
  buttons.push({ word, button });
  return button;
}

function offer(formats) {
  for (const link of document.querySelectorAll("#files a")) {
    const blob = new Blob([formats[link.dataset.format]], { type: "text/plain;charset=utf-8" });
    link.href = URL.createObjectURL(blob);
    link.download = $("name").textContent + link.dataset.ending;
  }
  $("copy").onclick = async () => {
    await navigator.clipboard.writeText(formats.text.trim());
    $("copy").textContent = "Copied";
    setTimeout(() => ($("copy").textContent = "Copy the text"), 1500);
  };
  $("copy").hidden = !navigator.clipboard;
  $("files").hidden = false;
}

function finished(seconds, shown) {
  $("progress").hidden = true;
  $("legend").hidden = !buttons.length;
  $("known").hidden = !$("known").textContent;
  const sum = buttons.reduce((total, { word }) => total + word.confidence, 0);
  const words = buttons.length === 1 ? "1 word" : `${buttons.length} words`;
  $("status").textContent = buttons.length
    ? `${words}, ${Math.round((100 * sum) / buttons.length)} % sure, in ${seconds.toFixed(1)} s`
    : "No words were heard.";
  if (!shown) $("status").textContent += " This browser cannot play this kind of file.";
  moved(0, false);
}

function fail(message) {
  recorder.stop();
  player.pause();
  $("result").hidden = true;
  $("problem").textContent = message;
  $("problem").hidden = false;
}

function moved(second, playing) {
  $("play").textContent = playing ? "Pause" : "Play";
  $("clock").textContent = `${clock(second)} / ${clock(player.duration)}`;
  const wave = $("wave");
  wave.setAttribute("aria-valuemax", player.duration.toFixed(1));
  wave.setAttribute("aria-valuenow", second.toFixed(1));
  wave.setAttribute("aria-valuetext", `${clock(second)} of ${clock(player.duration)}`);
  for (const { word, button } of buttons)
    button.toggleAttribute("aria-current", playing && isAt(word, second));
}

// ------------------------------------------------------------------ the microphone

async function toggleRecording() {
  if (recorder.running) return recorder.stop();
  player.pause();
  levels = [];
  try {
    await recorder.start();
    recording(true);
  } catch (error) {
    fail(error.message);
  }
}

function recorded(file) {
  recording(false);
  take(file);
}

function recording(now) {
  $("record").setAttribute("aria-pressed", now);
  $("record").setAttribute("aria-label", now ? "Stop recording" : "Record from the microphone");
  $("meter").hidden = !now;
  for (const part of document.querySelectorAll("#hint > :not(#prompt)")) part.hidden = now;
  if (!now) $("prompt").textContent = "Press and speak";
}

function drawLevel(level, seconds) {
  if (seconds >= limits.max_audio_seconds) recorder.stop();
  $("prompt").textContent = clock(seconds);
  levels.push(level);
  const { pen, width, height, colour } = surface($("meter"));
  levels = levels.slice(-Math.floor(width / 3));
  pen.fillStyle = colour("bad");
  levels.forEach((size, i) => {
    const tall = Math.max(2, Math.min(1, 2 * size) * height);
    pen.fillRect(width - 3 * (levels.length - i), (height - tall) / 2, 2, tall);
  });
}

// ------------------------------------------------------------------ the page itself

async function describe() {
  const health = await (await fetch("health")).json();
  limits = health;
  const millions = (health.parameters / 1e6).toFixed(1);
  $("model").textContent =
    `${health.model}, ${millions} million parameters. Recordings up to ` +
    `${Math.round(limits.max_audio_seconds / 60) || "<1"} minutes and ${limits.max_megabytes} MB.`;
  $("curl").textContent = `curl -F file=@recording.wav '${new URL("transcribe", location)}?format=srt'`;
}

async function showExamples() {
  const examples = await (await fetch("examples")).json();
  examples.forEach(({ name, duration, text }, number) => {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: name });
    const length = Object.assign(document.createElement("small"), { textContent: `${duration.toFixed(1)} s` });
    button.append(length);
    button.addEventListener("click", async () => {
      const answer = await fetch(`examples/${number}`);
      if (!answer.ok) return fail((await answer.json()).error);
      take(new File([await answer.blob()], `${name.replace(/\.wav$/, "")}.wav`), text);
    });
    $("examples").append(button);
  });
  $("examples").hidden = !examples.length;
}

$("record").addEventListener("click", toggleRecording);
$("choose").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", () => {
  if ($("file").files.length) take($("file").files[0]);
  $("file").value = ""; // so that the same file can be chosen again
});
$("play").addEventListener("click", () => (player.playing ? player.pause() : player.play()));
for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
  addEventListener(name, (event) => {
    event.preventDefault();
    $("inlet").classList.toggle("over", name === "dragenter" || name === "dragover");
  });
}
addEventListener("drop", (event) => {
  if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
});
describe();
showExamples();
