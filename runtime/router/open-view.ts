// open-view.ts: waiting for the first view, which the client library shares; see register/open-view.ts.
export { firstView, whyNoView } from "../register/open-view.ts";
