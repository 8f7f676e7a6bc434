/** Where Python sees the Worker's files. */
export const WORKER_ROOT = "/session/metadata";
