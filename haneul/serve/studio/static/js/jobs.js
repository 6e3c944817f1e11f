// Everything that waits or runs, as the service tells it; pages look here and listen for "change".
import { answered, events, json, mine } from "./api.js";

const WATCHED = 2; // running videos whose preview frames are shown: browsers open six connections in all

const SOON = 1500; // milliseconds, longer than the stream takes from one look to the next

class Jobs extends EventTarget {
  known = new Map(); // id -> {id, video, stage, mode, early}
  held = { paused: false, everybody: false }; // whether this key's jobs wait for somebody to let them go on, or everybody's
  #watching = new Map();

  start() {
    this.#follow();
  }

  get resting() {
    return this.held.paused || this.held.everybody;
  }

  /** Notes whether jobs are held; those that wait are told anew, for they are shown by it. */
  hold(now) {
    this.held = now;
    this.dispatchEvent(new Event("held"));
    for (const job of this.open) this.dispatchEvent(new CustomEvent("change", { detail: job }));
  }

  get open() {
    return [...this.known.values()].filter((job) => isOpen(job.video));
  }

  /** Tells of a video that was just asked for. One that is over before the stream looks again is never told there, so
   *  it is asked for once; if it is still open then, the stream has it. */
  add(video, mode = "") {
    if (!this.known.has(video.id)) this.#set({ id: video.id, video, stage: "", mode });
    setTimeout(() => this.#ask([this.known.get(video.id)]), SOON);
  }

  /** What is known of a video; asks the service if nothing is. */
  async get(id) {
    if (!this.known.has(id)) {
      const clip = await json(`${mine}/library/${encodeURIComponent(id)}`);
      this.known.set(id, { id, video: clip.video, stage: "", mode: clip.mode, clip });
    }
    return this.known.get(id);
  }

  gone(id) {
    this.known.delete(id);
    this.dispatchEvent(new CustomEvent("change", { detail: { id, deleted: true } }));
  }

  #set(job) {
    const before = this.known.get(job.id);
    this.known.set(job.id, { ...before, ...job });
    this.dispatchEvent(new CustomEvent("change", { detail: this.known.get(job.id) }));
    this.#watch();
  }

  async #follow() {
    for (let wait = 500; ; wait = Math.min(8000, wait * 1.6)) {
      try {
        for await (const [name, job] of events(`${mine}/events`)) {
          wait = 500;
          if (name === "queue") this.hold(job);
          if (name !== "job") continue;
          if (job.deleted) this.gone(job.id);
          else this.#set(job);
        }
      } catch {
        answered(false);
      }
      await new Promise((done) => setTimeout(done, wait));
      await this.#catchUp();
    }
  }

  /** After a silence: what was open may be over. */
  async #catchUp() {
    await this.#ask(this.open);
  }

  async #ask(some) {
    for (const job of some) {
      if (!job || !isOpen(job.video)) continue;
      try {
        this.#set({ id: job.id, video: await json(`/v1/videos/${job.id}`) });
      } catch (error) {
        if (error.status === 404) this.gone(job.id);
        else return;
      }
    }
  }

  /** Preview frames of what runs. */
  #watch() {
    for (const job of this.known.values()) {
      if (job.video.status === "in_progress" && this.#watching.size < WATCHED && !this.#watching.has(job.id)) {
        const ends = new AbortController();
        this.#watching.set(job.id, ends);
        this.#look(job.id, ends.signal).catch(() => {}).finally(() => this.#watching.delete(job.id));
      }
    }
  }

  async #look(id, signal) {
    for await (const [name, data] of events(`${mine}/videos/${id}/events`, signal)) {
      if (name === "preview" && typeof data.image === "string" && data.image.startsWith("data:image/")) {
        this.#set({ id, early: data.image });
      }
      if (name === "end") return;
    }
  }
}

export const isOpen = (video) => video.status === "queued" || video.status === "in_progress";
export const jobs = new Jobs();
