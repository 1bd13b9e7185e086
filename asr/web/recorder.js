// The microphone: a recording in whatever the browser records, and how loud it is meanwhile.

const FORMS = [
  ["audio/webm;codecs=opus", ".webm"],
  ["audio/mp4", ".m4a"],
  ["audio/ogg;codecs=opus", ".ogg"],
];

export class Recorder {
  // level(loudest sample, seconds): called for each frame that is shown. end(file): when it stops.
  constructor({ level, end }) {
    Object.assign(this, { level, end });
  }

  get running() {
    return this.recorder?.state === "recording";
  }

  async start() {
    // What is heard is what is recorded: models are trained on sound that nobody cleaned.
    const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    if (!navigator.mediaDevices || !window.MediaRecorder) throw new Error(withoutMicrophone());
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ audio: plain });
    } catch (error) {
      throw new Error(refusal(error));
    }
    const [type, ending] = FORMS.find(([form]) => MediaRecorder.isTypeSupported(form)) ?? ["", ""];
    this.recorder = new MediaRecorder(this.stream, type ? { mimeType: type } : {});
    const parts = [];
    this.recorder.ondataavailable = (event) => parts.push(event.data);
    this.recorder.onstop = () => {
      for (const track of this.stream.getTracks()) track.stop();
      this.context.close();
      this.end(new File(parts, `recording${ending}`, { type: this.recorder.mimeType }));
    };
    this.context = new AudioContext();
    const analyser = new AnalyserNode(this.context, { fftSize: 2048 });
    this.context.createMediaStreamSource(this.stream).connect(analyser);
    this.recorder.start();
    this.watch(analyser, performance.now());
  }

  watch(analyser, begin) {
    const samples = new Float32Array(analyser.fftSize);
    const look = () => {
      if (!this.running) return;
      analyser.getFloatTimeDomainData(samples);
      const loudest = samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
      this.level(loudest, (performance.now() - begin) / 1000);
      requestAnimationFrame(look);
    };
    look();
  }

  stop() {
    if (this.running) this.recorder.stop();
  }
}

function withoutMicrophone() {
  return window.isSecureContext
    ? "This browser cannot record. Choose or drop a file instead."
    : "Browsers give the microphone only to pages from localhost or over HTTPS, and this one is " +
      "neither. Choose or drop a file, or open the page by HTTPS.";
}

function refusal(error) {
  if (error.name === "NotAllowedError")
    return "The browser may not use the microphone. Allow it beside the page's address, and press again.";
  if (error.name === "NotFoundError") return "There is no microphone here. Choose or drop a file instead.";
  return `The microphone cannot be used: ${error.message}. Is another program using it?`;
}
