// The live picture of one camera: asks for the next one as soon as the last one is drawn, so that a slow connection
// shows fewer pictures and never old ones.

const PAUSE_MS = 1000;

export class Picture {
  #camera;
  #canvas;
  #wanted = false;
  #asking = null;
  #serial = 0;
  #drawnFrom = -Infinity;

  constructor(camera, canvas) {
    this.#camera = camera;
    this.#canvas = canvas;
  }

  // Milliseconds since the picture that is shown was taken.
  get ageMs() {
    return performance.now() - this.#drawnFrom;
  }

  want(wanted) {
    if (wanted === this.#wanted) return;
    this.#wanted = wanted;
    if (wanted) this.#follow(new AbortController());
    else this.#asking.abort();
  }

  async #follow(asking) {
    this.#asking = asking;
    while (!asking.signal.aborted) {
      try {
        if (!(await this.#next(asking.signal))) await pause();
      } catch {
        await pause();
      }
    }
  }

  // Whether to ask again at once.
  async #next(signal) {
    const answer = await fetch(`snapshot.jpg?camera=${this.#camera}&after=${this.#serial}`, { signal });
    if (answer.status === 204) return true;
    if (!answer.ok) return false;
    const takenAt = performance.now() - Number(answer.headers.get("X-Age-Ms"));
    const bitmap = await createImageBitmap(await answer.blob());
    if (!signal.aborted) this.#draw(bitmap);
    bitmap.close();
    this.#serial = Number(answer.headers.get("X-Picture"));
    this.#drawnFrom = takenAt;
    return true;
  }

  #draw(bitmap) {
    const canvas = this.#canvas;
    if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
      canvas.width = bitmap.width;
      canvas.height = bitmap.height;
      canvas.parentElement.style.aspectRatio = `${bitmap.width} / ${bitmap.height}`;
    }
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
  }
}

function pause() {
  return new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
}
