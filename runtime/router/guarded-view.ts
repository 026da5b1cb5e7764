// guarded-view.ts: the rule for acting on a view, which the client library shares; see register/guarded-view.ts.
export { guardedView, type GuardedView } from "../register/guarded-view.ts";
