// The EHR's side of SMART Web Messaging: an app in a frame, which may read and change the draft orders.
import { h } from "./dom.js";
import { referenceTo } from "./ehr.js";

const ANSWERS = {
  "status.handshake": () => ({}),
  "ui.done": (_, ehr) => {
    ehr.done();
    return { status: "success" };
  },
  "scratchpad.read": ({ location }, ehr) => {
    const found = ehr.drafts();
    return location ? { resource: found.find((draft) => referenceTo(draft) === location) } : { scratchpad: found };
  },
  "scratchpad.create": ({ resource }, ehr) => {
    const made = { ...resource, id: crypto.randomUUID() };
    ehr.change([...ehr.drafts(), made], [made]);
    return { status: "201 Created", location: referenceTo(made) };
  },
  "scratchpad.update": ({ resource }, ehr) => {
    const before = ehr.drafts();
    const after = before.map((draft) => (referenceTo(draft) === referenceTo(resource) ? resource : draft));
    if (after.every((draft, place) => draft === before[place])) return { status: "404 Not Found" };
    ehr.change(after, [resource]);
    return { status: "200 OK" };
  },
  "scratchpad.delete": ({ location }, ehr) => {
    ehr.change(ehr.drafts().filter((draft) => referenceTo(draft) !== location), []);
    return { status: "200 OK" };
  },
};

export class AppFrame {
  /** @param room where the frame goes. @param ehr `drafts()`, `change(drafts, changed)` and `done()`. */
  constructor(room, ehr) {
    this.room = room;
    this.ehr = ehr;
    window.addEventListener("message", (event) => this.#answer(event));
  }

  /** @param handle what the EHR told the app to put on its messages. */
  open(url, title, handle) {
    this.handle = handle;
    this.origin = new URL(url).origin;
    this.frame = h("iframe", { src: url, title });
    this.room.replaceChildren(this.frame);
  }

  close() {
    this.frame = null;
    this.room.replaceChildren();
  }

  /** Only the app in the frame is answered, at its own origin. */
  #answer({ origin, source, data }) {
    if (!this.frame || source !== this.frame.contentWindow || origin !== this.origin) return;
    const { messageId, messageType, messagingHandle, payload } = data ?? {};
    if (!messageId || messagingHandle !== this.handle) return;
    const answered = Object.hasOwn(ANSWERS, messageType)
      ? ANSWERS[messageType](payload ?? {}, this.ehr)
      : { status: "501 Not Implemented" };
    source.postMessage({ messageId: crypto.randomUUID(), responseToMessageId: messageId, payload: answered }, origin);
  }
}
