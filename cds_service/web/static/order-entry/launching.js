// The SMART app of a card's link, opened as EHRs open apps: beside the chart, with a handle of what is open.
import { announce, changed, desk } from "./desk.js";
import { at, focusOn } from "./dom.js";
import { AppFrame } from "./smart.js";

const BASE = `${location.origin}${at("order-entry").dataset.base}`;
let app = null;

/** @param fire asks the service; a draft the app changed is asked about as any other. */
export function startApp(fire) {
  const change = (drafts, about) => {
    desk.open.drafts = drafts;
    changed();
    return about.length ? fire("order-select", about) : undefined;
  };
  app = new AppFrame(at("app-room"), { drafts: () => desk.open.drafts, change, done: closeApp });
  at("app-close").addEventListener("click", closeApp);
}

export async function openApp({ label, url, appContext }) {
  const { slug } = desk.open;
  const query = new URLSearchParams(appContext ? { appContext } : {});
  const got = await fetch(`${BASE}/demo/ehr/launch/${encodeURIComponent(slug)}?${query}`);
  if (!got.ok) return announce(`The app cannot be opened: ${got.status}.`);
  const told = await got.json();
  const address = `${url}?${new URLSearchParams({ iss: told.iss, launch: told.launch })}`;
  if (new URL(url).origin !== location.origin) return window.open(address, "_blank", "noopener");
  app.open(address, label, told.messagingHandle);
  at("app").hidden = false;
  return focusOn(at("app-title"));
}

export function closeApp() {
  app.close();
  at("app").hidden = true;
}
