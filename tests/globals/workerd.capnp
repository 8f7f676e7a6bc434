using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [(name = "globals", worker = (
    modules = [
      (name = "worker", esModule = embed "workerd.js"),
      (name = "names", esModule = embed "names.js"),
    ],
    compatibilityDate = "2026-09-08",
  ))],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "globals")],
);
