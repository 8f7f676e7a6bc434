;; Cases that are easy to get wrong. Each export is called with several arguments.
(module
  (import "env" "t0/1" (tag $cpp (param i32)))
  (import "m0" "throw_shared" (func $thr (param i32) (result i32)))
  (import "m0" "throw_private" (func $thr_priv (param i32) (result i32)))
  (import "m0" "catch_and_rethrow" (func $cr (param i32) (result i32)))
  (import "m0" "through_host" (func $host (param i32) (result i32)))
  (memory 0)
  (tag $e0) (tag $e2 (param i32 i64)) (tag $same (param i32))
  (type $f (func (param i32) (result i32)))
  (table 4 funcref)
  (elem (i32.const 0) func $thr $thr_priv $cr $host)
  (global $g (export "g") (mut i32) (i32.const 0))
  (func $log (param i32) global.get $g i32.const 17 i32.mul local.get 0 i32.add global.set $g)
  ;; payload through another instance
  (func (export "run_01_cross_payload") (param i32) (result i32)
    try (result i32) local.get 0 call $thr catch $cpp i32.const 1000 i32.add end)
  ;; private tag of the other instance: only catch_all
  (func (export "run_02_private_tag") (param i32) (result i32)
    try (result i32) local.get 0 call $thr_priv
    catch $e2 drop
    catch $cpp
    catch_all i32.const -7 end)
  (func (export "run_03_private_uncaught") (param i32) (result i32)
    try (result i32) local.get 0 call $thr_priv catch $e2 drop end)
  ;; same signature, different tag
  (func (export "run_04_same_sig") (param i32) (result i32)
    try (result i32)
      try (result i32) local.get 0 throw $same catch $cpp drop i32.const 1 end
    catch $same i32.const 2 i32.mul end)
  ;; call_indirect + rethrow in callee + host frame
  (func (export "run_05_indirect_host_rethrow") (param i32) (result i32)
    try (result i32) local.get 0 i32.const 2 call_indirect (type $f)
    catch $cpp i32.const 5000 i32.add end)
  (func (export "run_06_host_direct") (param i32) (result i32)
    try (result i32) local.get 0 i32.const 3 call_indirect (type $f)
    catch_all i32.const 99 end)
  ;; rethrow from nested depth: inner handler rethrows the OUTER exception
  (func (export "run_07_rethrow_depth") (param i32) (result i32)
    try (result i32)
      try (result i32)
        local.get 0 throw $cpp
      catch $cpp
        drop
        try (result i32)
          i32.const 1 i64.const 2 throw $e2
        catch $e2
          call $log64 drop
          rethrow 1
        end
      end
    catch $cpp i32.const 3 i32.add
    catch $e2 drop end)
  (func $swap (param i32 i64) (result i64 i32) local.get 1 local.get 0)
  (func $fin (param i64 i32) (result i32) local.get 0 i32.wrap_i64 i32.const 1000 i32.mul local.get 1 i32.add)
  (func $log64 (param i64) i32.const 64 call $log)
  ;; rethrow inside a try inside the handler, caught there
  (func (export "run_08_rethrow_caught_inside") (param i32) (result i32)
    try (result i32)
      local.get 0 throw $cpp
    catch $cpp
      drop
      try (result i32) rethrow 1 catch $cpp i32.const 4 i32.mul end
    end)
  ;; delegate skipping one try to an outer try
  (func (export "run_09_delegate_outer") (param i32) (result i32)
    try (result i32)
      try (result i32)
        try (result i32) local.get 0 throw $cpp delegate 1
      catch $cpp drop i32.const -1 catch_all i32.const -2 end
    catch $cpp i32.const 9 i32.add end)
  ;; delegate to caller out of two catching tries
  (func $dc (param i32) (result i32)
    try (result i32)
      try (result i32)
        try (result i32) local.get 0 call $thr delegate 2
      catch_all i32.const -1 end
    catch $cpp drop i32.const -2 end)
  (func (export "run_10_delegate_caller") (param i32) (result i32)
    try (result i32) local.get 0 call $dc catch $cpp i32.const 10 i32.add end)
  ;; delegate to a block (=> next outer try), and to the catch part of a try
  (func (export "run_11_delegate_block_and_handler") (param i32) (result i32)
    try (result i32)
      try (result i32)
        local.get 0 throw $cpp
      catch $cpp
        drop
        block (result i32)
          try (result i32)
            try (result i32) i32.const 40 throw $cpp delegate 2
          catch_all i32.const -1 end
        end
      end
    catch $cpp i32.const 2 i32.add end)
  ;; delegate chain through a delegate
  (func (export "run_12_delegate_chain") (param i32) (result i32)
    try (result i32)
      try (result i32)
        try (result i32)
          try (result i32)
            try (result i32) local.get 0 throw $cpp delegate 1
          catch_all i32.const -1 end
        delegate 1
      catch_all i32.const -2 end
    catch $cpp i32.const 12 i32.add end)
  ;; br out of try / catch / catch_all, br_if with value
  (func (export "run_13_br_out") (param i32) (result i32)
    block $o (result i32)
      try $t (result i32)
        i32.const 100 local.get 0 i32.const 1 i32.eq br_if $o drop
        i32.const 200 local.get 0 i32.const 2 i32.eq br_if $t drop
        local.get 0 throw $cpp
      catch $cpp
        i32.const 4 i32.eq if i32.const 300 br $o end
        local.get 0 i32.const 5 i32.eq if i32.const 400 br $t end
        throw $e0
      catch_all
        i32.const 500 br $o
      end
      i32.const 1 i32.add
    end)
  ;; br_table through try/catch
  (func (export "run_14_br_table") (param i32) (result i32)
    block $a block $b
      try $t
        block $c
          local.get 0 br_table $c $t $b $a
        end
        throw $e0
      catch $e0
        local.get 0 i32.const 1 i32.add
        br_table $t $b $a $b
      end
      i32.const 1 return
    end i32.const 2 return
    end i32.const 3)
  ;; loop inside try, try inside loop, exception per iteration
  (func (export "run_15_loops") (param i32) (result i32) (local $i i32) (local $s i32)
    try
      loop $l
        try
          local.get $i i32.const 3 i32.rem_u i32.eqz if local.get $i throw $cpp end
          local.get $i i32.const 7 i32.eq if throw $e0 end
          local.get $s i32.const 1 i32.add local.set $s
        catch $cpp
          i32.const 100 i32.mul local.get $s i32.add local.set $s
        end
        local.get $i i32.const 1 i32.add local.tee $i
        local.get 0 i32.lt_u br_if $l
      end
    catch_all
      local.get $s i32.const 1000000 i32.add local.set $s
    end
    local.get $s)
  ;; block params and multi results, loop as branch target from a handler
  (func (export "run_16_params_multi") (param i32) (result i32)
    local.get 0 i64.const 3
    try (param i32 i64) (result i64 i32)
      i32.wrap_i64 i32.add          ;; p0+3
      local.get 0 i32.const 4 i32.gt_s
      if (param i32) (result i32) i64.const 11 throw $e2 end
      i64.const 6 local.get 0
      try (param i32 i64 i32) (result i64 i32)
        drop drop throw $cpp
      delegate 0
    catch $e2   ;; i32 i64
      i32.wrap_i64 i32.add i64.const 50 call $swap
    catch $cpp  ;; i32
      i64.extend_i32_u i32.const 2
    end
    call $fin)
  ;; unreachable code after throw / rethrow
  (func (export "run_17_unreachable") (param i32) (result i32)
    try (result i32)
      local.get 0 throw $cpp
      i32.add unreachable drop br 0
    catch $cpp
      drop
      local.get 0 i32.const 3 i32.gt_u if rethrow 1 i32.const 2 throw $cpp end
      i32.const 8
    catch_all
      rethrow 0
      try catch_all rethrow 0 end
    end)
  ;; locals keep their value across the unwind
  (func (export "run_18_locals") (param i32) (result i32) (local i32)
    try
      i32.const 55 local.set 1
      local.get 0 call $thr local.set 1
    catch_all end
    local.get 1 local.get 0 i32.add)
  ;; sjlj shape: catch, compare id, rethrow when not mine
  (func (export "run_19_sjlj") (param i32) (result i32) (local $l i32)
    loop $again (result i32)
      block $done (result i32)
        try (result i32)
          local.get $l i32.const 3 i32.ge_s if (result i32) i32.const 3 else local.get 0 local.get $l i32.add call $thr end
          br $done
        catch $cpp
          i32.const 4 i32.lt_u if local.get $l i32.const 1 i32.add local.set $l br $again end
          rethrow 0
        end
      end
    end)
  ;; trap must not be caught by catch_all
  (func (export "run_20_trap") (param i32) (result i32)
    try (result i32) i32.const 1 i32.const 0 i32.div_s catch_all i32.const 1 end)
  ;; try without handlers; try in dead code
  (func (export "run_21_plain") (param i32) (result i32)
    try (result i32) try (result i32) local.get 0 call $thr end catch $cpp i32.const 21 i32.add end
    return
    try catch_all rethrow 0 end
    unreachable)
  ;; values of all types in blocks and tags
  (tag $ref (param externref funcref))
  (tag $wide (param v128 f32))
  (func (export "run_22_types") (param i32) (result i32)
    try (result f64)
      local.get 0 i32.const 2 i32.rem_u
      if ref.null extern ref.null func throw $ref end
      local.get 0 i32x4.splat local.get 0 f32.convert_i32_s throw $wide
    catch $ref
      ref.is_null drop ref.is_null f64.convert_i32_u
    catch $wide
      f64.promote_f32 f64.const 0.5 f64.add
      local.get 0 i32.const 4 i32.ge_s if rethrow 1 end
      br 0
    end
    f64.const 2 f64.mul i32.trunc_sat_f64_s)
  ;; a tail call leaves the try before the callee throws
  (func $inner (param i32) (result i32)
    try (result i32) local.get 0 return_call $thr catch_all i32.const -1 end)
  (func (export "run_23_tail_call") (param i32) (result i32)
    try (result i32) local.get 0 call $inner catch $cpp i32.const 23 i32.add end)
  ;; a handler's exception survives one caught inside it, and siblings share locals
  (func (export "run_24_nested_exceptions") (param i32) (result i32) (local $n i32)
    try (result i32)
      try (result i32)
        local.get 0 throw $cpp
      catch $cpp
        local.set $n
        try
          local.get $n i32.const 100 i32.add throw $same
        catch $same
          call $log
          try
            rethrow 1
          catch_all
            i32.const 3 call $log
            local.get 0 i32.const 3 i32.lt_s if rethrow 3 end
          end
          local.get 0 i32.const 4 i32.lt_s if rethrow 1 end
        end
        try
          local.get $n i32.const 200 i32.add throw $same
        catch_all
          local.get 0 i32.const 6 i32.lt_s if rethrow 1 end
          local.get 0 i32.const 7 i32.lt_s if rethrow 2 end
        end
        i32.const 24
      end
    catch $cpp
      i32.const 1000 i32.add
    end)
  ;; two handlers of one tag: the first one gets the exception, also by way of a delegate
  (func (export "run_25_same_tag_twice") (param i32) (result i32)
    try (result i32)
      try (result i32)
        try (result i32) local.get 0 throw $cpp delegate 0
      catch $cpp
        i32.const 1 i32.add
      catch $cpp
        i32.const 2 i32.add
      end
    catch_all
      i32.const -1
    end)
  ;; a delegate to the caller in a function whose results come from several places
  (func $multi (param i32) (result i64 i32)
    try
      try
        local.get 0 i32.const 3 i32.rem_u br_table 0 1 1
      delegate 1
      i64.const 1 local.get 0 return
    catch_all
      i32.const 9 call $log
    end
    local.get 0 i32.const 4 i32.gt_s
    if
      try
        try local.get 0 throw $cpp delegate 2
      catch_all
        i32.const 10 call $log
      end
    end
    i64.const 2 local.get 0)
  (func (export "run_26_caller_and_results") (param i32) (result i32)
    try (result i64 i32) local.get 0 call $multi catch $cpp i64.extend_i32_s i32.const -1 end
    call $fin)
  ;; a delegate out of a handler meets neither this try's handlers nor those in between
  (func (export "run_27_delegate_from_handler") (param i32) (result i32)
    try (result i32)
      try (result i32)
        local.get 0 throw $cpp
      catch $cpp
        try (result i32)
          try (result i32) i32.const 1 call $thr delegate 1
        catch_all i32.const -1 end
        i32.add
      catch_all
        i32.const -2
      end
    catch $cpp
      local.get 0 i32.add
    end)
)
