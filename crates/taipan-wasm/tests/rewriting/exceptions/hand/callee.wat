;; What the cases call in another instance: it shares the tag env.t0/1 with them and has a private one.
(module
  (import "env" "t0/1" (tag $shared (param i32)))
  (import "env" "host" (func $host (param i32 i32) (result i32)))
  (memory 0)
  (tag $private (param i32 i64))
  (func (export "throw_shared") (param i32) (result i32) local.get 0 throw $shared)
  (func (export "throw_private") (param i32) (result i32) local.get 0 i64.const 77 throw $private)
  (func $through_host (export "through_host") (param i32) (result i32) local.get 0 i32.const 0 call $host)
  (func (export "catch_and_rethrow") (param i32) (result i32)
    try (result i32)
      local.get 0 call $through_host
    catch $shared
      i32.const 1 i32.add drop
      rethrow 0
    end)
  (func (export "cb") (param i32 i32) (result i32)
    local.get 0 i32.const 5 i32.gt_s
    if local.get 0 throw $shared end
    local.get 0 i32.const 10 i32.mul)
)
