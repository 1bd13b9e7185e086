// A recording to look at and to listen to: its waveform, its words in it, and what is playing.

const RATE = 24000; // samples a second; an hour takes 350 MB
const MARGIN = 0.06; // seconds: a recogniser is sure of a word a little after it begins

export class Player {
  // moved(seconds, playing): called whenever the position changes.
  constructor(canvas, moved) {
    Object.assign(this, { canvas, moved, words: [], at: 0, duration: 0, buffer: null });
    canvas.addEventListener("pointerdown", (event) => this.play(this.secondAt(event)));
    canvas.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  // Returns whether the browser can decode the file; the server may know more kinds.
  async load(file) {
    this.pause();
    Object.assign(this, { words: [], at: 0, duration: 0, buffer: null, file });
    this.draw();
    this.context ??= new AudioContext({ sampleRate: RATE });
    try {
      const buffer = await this.context.decodeAudioData(await file.arrayBuffer());
      if (this.file !== file) return false; // another came meanwhile
      this.buffer = buffer;
      this.duration = buffer.duration;
    } catch {
      return false;
    }
    this.draw();
    this.moved(0, false);
    return true;
  }

  add(words, duration) {
    this.words.push(...words);
    this.duration = Math.max(this.duration, duration);
    this.draw();
  }

  get playing() {
    return Boolean(this.source);
  }

  play(from = this.at, until = this.duration) {
    this.pause();
    if (!this.buffer) return;
    if (from >= this.duration - 0.01) from = 0;
    this.context.resume();
    const source = new AudioBufferSourceNode(this.context, { buffer: this.buffer });
    source.connect(this.context.destination);
    source.start(0, from, until - from);
    this.source = source;
    const begin = this.context.currentTime;
    const follow = () => {
      if (this.source !== source) return;
      this.at = Math.min(from + this.context.currentTime - begin, until);
      if (this.at >= until) return this.pause();
      this.show();
      requestAnimationFrame(follow);
    };
    follow();
  }

  playWord(word) {
    this.play(Math.max(0, word.start - MARGIN), Math.min(this.duration, word.end + MARGIN));
  }

  pause() {
    this.source?.stop();
    this.source = null;
    this.show();
  }

  show() {
    this.draw();
    this.moved(this.at, this.playing);
  }

  secondAt(event) {
    return (event.offsetX / this.canvas.clientWidth) * this.duration;
  }

  key(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
    if (event.key === " ") this.playing ? this.pause() : this.play();
    else if (event.key in steps) {
      const playing = this.playing;
      this.pause();
      this.at = Math.min(Math.max(this.at + steps[event.key], 0), this.duration);
      playing ? this.play() : this.show();
    } else return;
    event.preventDefault();
  }

  // Peaks of the waveform for each column of the canvas, found anew only if its width changes.
  peaks(columns) {
    if (this.found?.buffer === this.buffer && this.found.columns === columns) return this.found.peaks;
    const samples = this.buffer.getChannelData(0);
    const peaks = new Float32Array(columns);
    for (let column = 0; column < columns; column++) {
      const end = Math.floor(((column + 1) / columns) * samples.length);
      for (let i = Math.floor((column / columns) * samples.length); i < end; i++) {
        const size = Math.abs(samples[i]);
        if (size > peaks[column]) peaks[column] = size;
      }
    }
    const loudest = peaks.reduce((most, peak) => Math.max(most, peak), 1e-4);
    this.found = { buffer: this.buffer, columns, peaks: peaks.map((peak) => peak / loudest) };
    return this.found.peaks;
  }

  draw() {
    const { pen, width, height, colour } = surface(this.canvas);
    if (!this.duration) return;
    const x = (second) => (second / this.duration) * width;
    const top = 24, bottom = height - 18;
    this.drawWords(pen, x, top, bottom, colour);
    if (this.buffer) {
      const bars = Math.floor(width / 3);
      const middle = (top + bottom) / 2;
      this.peaks(bars).forEach((peak, bar) => {
        const size = Math.max(1, (peak * (bottom - top - 6)) / 2);
        pen.fillStyle = colour((bar + 0.5) / bars * this.duration <= this.at ? "accent" : "faint");
        pen.fillRect(bar * (width / bars), middle - size, 2, 2 * size);
      });
    }
    drawSeconds(pen, x, width, this.duration, height, colour);
    if (this.at > 0) {
      pen.fillStyle = colour("accent");
      pen.fillRect(x(this.at) - 1, 0, 2, height);
    }
  }

  // A band for each word, and above it the word, where there is room for it.
  drawWords(pen, x, top, bottom, colour) {
    pen.textAlign = "center";
    const labelled = x(this.duration) > 28 * this.words.length;
    let edge = 0; // where the last label ends
    for (const word of this.words) {
      const [left, right] = [x(word.start), x(word.end)];
      const now = this.at > 0 && isAt(word, this.at);
      pen.fillStyle = colour("accent");
      pen.globalAlpha = now ? 0.32 : 0.06 + 0.1 * word.confidence;
      pen.beginPath();
      pen.roundRect(left, top, Math.max(right - left, 1), bottom - top, 4);
      pen.fill();
      pen.globalAlpha = 1;
      if (!labelled) continue;
      const half = pen.measureText(word.text).width / 2;
      const centre = Math.min(Math.max((left + right) / 2, half + 2), x(this.duration) - half - 2);
      if (centre - half < edge + 4 && edge) continue;
      pen.fillStyle = colour(now ? "accent" : "ink");
      pen.fillText(word.text, centre, 16);
      edge = centre + half;
    }
  }
}

export function isAt(word, second) {
  return word.start - MARGIN <= second && second < word.end + MARGIN;
}

// A canvas cleared at the screen's resolution, and the page's colours.
export function surface(canvas) {
  const scale = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  pen.font = "12px system-ui, sans-serif";
  const found = {};
  const colour = (name) => {
    if (!found[name]) {
      canvas.style.color = `var(--${name})`; // the light page's or the dark one's
      found[name] = getComputedStyle(canvas).color;
    }
    return found[name];
  };
  return { pen, width, height, colour };
}

function drawSeconds(pen, x, width, duration, height, colour) {
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800];
  const step = steps.find((s) => x(s) > 56) ?? 3600;
  pen.fillStyle = colour("faint");
  pen.textAlign = "center";
  for (let tick = 1; tick * step < duration; tick++) {
    if (x(tick * step) > width - 16) break;
    pen.fillText(clock(tick * step, step < 1 ? 1 : 0), x(tick * step), height - 5);
  }
}

export function clock(seconds, digits = 1) {
  const rounded = Number(seconds.toFixed(digits));
  const minutes = Math.floor(rounded / 60);
  const rest = (rounded - 60 * minutes).toFixed(digits);
  return `${minutes}:${rest.padStart(digits ? 3 + digits : 2, "0")}`;
}
