// The live picture of one camera. It requests the next picture as soon as the last one is drawn, so that a slow
// connection shows fewer pictures but never old ones.

const PAUSE_MS = 1000;

export class Picture {
  #camera;
  #canvas;
  #wanted = false;
  #controller = null;
  #serial = 0;
  #takenAt = -Infinity;

  constructor(camera, canvas) {
    this.#camera = camera;
    this.#canvas = canvas;
  }

  // Milliseconds since the shown picture was taken.
  get ageMs() {
    return performance.now() - this.#takenAt;
  }

  want(wanted) {
    if (wanted === this.#wanted) return;
    this.#wanted = wanted;
    if (wanted) this.#follow(new AbortController());
    else this.#controller.abort();
  }

  async #follow(controller) {
    this.#controller = controller;
    while (!controller.signal.aborted) {
      try {
        if (!(await this.#next(controller.signal))) await pause();
      } catch {
        await pause();
      }
    }
  }

  // Returns true if the next picture should be requested immediately.
  async #next(signal) {
    const response = await fetch(`snapshot.jpg?camera=${this.#camera}&after=${this.#serial}`, { signal });
    if (response.status === 204) return true;
    if (!response.ok) return false;
    const takenAt = performance.now() - Number(response.headers.get("X-Age-Ms"));
    const bitmap = await createImageBitmap(await response.blob());
    if (!signal.aborted) this.#draw(bitmap);
    bitmap.close();
    this.#serial = Number(response.headers.get("X-Picture"));
    this.#takenAt = takenAt;
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
