//! Who may call a function of another isolate, and for how long.

use std::sync::mpsc;

use super::*;

fn events() -> (EventSender, mpsc::Receiver<Event>) {
    let (sender, events) = mpsc::channel();
    (EventSender::new(move |event| drop(sender.send(event))), events)
}

#[test]
fn a_function_is_called_by_whoever_has_its_token_until_its_isolate_is_gone() {
    let all = Functions::default();
    let (here, there) = (all.seat(), all.seat());
    let (to_here, heard_here) = events();
    let (to_there, heard_there) = events();
    let token = here.export().unwrap();
    assert_eq!(here.next(1, to_here.clone()), OpReply::Later);
    there.invoke(&token, Bytes::from_static(b"in"), None, 2, to_there.clone()).unwrap();
    let Event::Complete { id: 1, fields } = heard_here.recv().unwrap() else { panic!() };
    let [_, Field::Num(call), Field::Str(called), Field::Bytes(arguments)] = &fields[..] else { panic!() };
    assert_eq!((called, &arguments[..]), (&token, &b"in"[..]));
    // Only its owner answers.
    there.reply(*call as u64, Bytes::from_static(b"forged"));
    here.reply(*call as u64, Bytes::from_static(b"out"));
    here.reply(*call as u64, Bytes::from_static(b"twice"));
    let answer = vec![Field::Bytes(b"out".to_vec())];
    assert!(matches!(heard_there.recv().unwrap(), Event::Complete { id: 2, fields } if fields == answer));
    assert!(heard_there.try_recv().is_err());

    let second = here.export().unwrap();
    // Held twice, it is released with the second time.
    there.retain(&token).unwrap();
    there.release(&token);
    there.invoke(&token, Bytes::new(), None, 6, to_there.clone()).unwrap();
    let OpReply::Ready(called) = here.next(7, to_here.clone()) else { panic!() };
    assert_eq!(called[0], "call".into());
    there.release(&token);
    assert_eq!(there.retain(&token).unwrap_err(), GONE);
    assert_eq!(there.invoke(&token, Bytes::new(), None, 3, to_there.clone()).unwrap_err(), GONE);
    let OpReply::Ready(told) = here.next(4, to_here) else { panic!() };
    assert_eq!(told, ["release".into(), Field::from(token)]);
    there.invoke(&second, Bytes::new(), None, 5, to_there).unwrap();
    drop(here);
    let mut failed = [heard_there.recv().unwrap(), heard_there.recv().unwrap()].map(|event| match event {
        Event::Failed { id, .. } => id,
        other => panic!("{other:?}"),
    });
    failed.sort_unstable();
    assert_eq!(failed, [5, 6]);
    assert!(there.functions.lock().functions.is_empty());
}

#[test]
fn functions_calls_and_values_have_bounds() {
    let all = Functions::default();
    let (here, there) = (all.seat(), all.seat());
    let (to_there, heard_there) = events();
    let token = here.export().unwrap();
    for _ in 1..10_000 {
        here.export().unwrap();
    }
    assert_eq!(here.export().unwrap_err(), "too many functions and objects are with other Workers: 10000");
    there.export().unwrap();
    let large = Bytes::from(vec![0; (32 << 20) + 1]);
    let refused = there.invoke(&token, large.clone(), None, 1, to_there.clone()).unwrap_err();
    assert_eq!(refused, "the arguments are too large: 33554433 > 33554432 bytes");
    for id in 0..10_000 {
        there.invoke(&token, Bytes::new(), None, id, to_there.clone()).unwrap();
    }
    let refused = there.invoke(&token, Bytes::new(), None, 1, to_there.clone()).unwrap_err();
    assert_eq!(refused, "too many calls wait for the Worker that has the function: 10000");
    let OpReply::Ready(called) = here.next(1, to_there.clone()) else { panic!() };
    let Field::Num(call) = called[1] else { panic!() };
    here.reply(call as u64, large.clone());
    let Event::Failed { message, .. } = heard_there.recv().unwrap() else { panic!() };
    assert_eq!(message, "the result is too large: 33554433 > 33554432 bytes");

    RpcCall::new("method".into(), Bytes::new(), 1, (&there, 1), (3, to_there)).answer(large);
    let Event::Failed { id: 3, message, .. } = heard_there.recv().unwrap() else { panic!() };
    assert_eq!(message, "the result is too large: 33554433 > 33554432 bytes");
}

fn call(seat: &Seat, number: u64, events: &EventSender) -> RpcCall {
    let id = 100 + u32::try_from(number).unwrap();
    RpcCall::new("method".into(), Bytes::new(), 1, (seat, number), (id, events.clone()))
}

fn numbers(reply: OpReply) -> (Field, f64, f64) {
    let OpReply::Ready(fields) = reply else { panic!("nothing came") };
    match &fields[..] {
        [what, Field::Num(first), Field::Num(second), Field::Bytes(_)] => (what.clone(), *first, *second),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_asked_of_a_result_that_was_reserved_is_delivered_in_order_once_it_is_there() {
    let all = Functions::default();
    let (caller, callee) = (all.seat(), all.seat());
    let (to_caller, heard) = events();
    let (to_callee, _) = events();
    let first = call(&caller, 1, &to_caller);
    assert!(caller.reserve(1));
    // Of the second call, too, before anybody knows of the first one's result.
    caller.ask(1, Bytes::new(), 2, 2, to_caller.clone()).unwrap();
    assert!(caller.reserve(2));
    caller.ask(2, Bytes::new(), 3, 3, to_caller.clone()).unwrap();
    caller.ask(1, Bytes::new(), 4, 4, to_caller.clone()).unwrap();

    let kept = callee.claim(first.result).unwrap();
    assert_eq!(callee.claim(first.result), None, "claimed once");
    first.answer(Bytes::from_static(b"1"));
    assert!(matches!(heard.recv().unwrap(), Event::Complete { id: 101, .. }));
    let (what, second, of) = numbers(callee.next(1, to_callee.clone()));
    assert_eq!((what, of), ("piped".into(), kept as f64));
    let (_, fourth, of) = numbers(callee.next(1, to_callee.clone()));
    assert_eq!(of, kept as f64);
    // The third waits for the second.
    let kept_second = callee.reply(second as u64, Bytes::from_static(b"2")).unwrap();
    assert!(matches!(heard.recv().unwrap(), Event::Complete { id: 2, .. }));
    let (_, third, of) = numbers(callee.next(1, to_callee.clone()));
    assert_eq!(of, kept_second as f64);
    assert_eq!(callee.reply(third as u64, Bytes::new()), None, "nobody has asked for more");
    assert_eq!(callee.reply(fourth as u64, Bytes::new()), None);

    // As long as the caller has not seen the answer, it may still ask.
    caller.ask(1, Bytes::new(), 5, 5, to_caller.clone()).unwrap();
    numbers(callee.next(1, to_callee.clone()));
    caller.settled(1);
    let settled = OpReply::Ready(vec!["settled".into(), Field::Num(kept as f64)]);
    assert_eq!(callee.next(1, to_callee.clone()), settled);
    assert!(caller.ask(1, Bytes::new(), 6, 6, to_caller).is_err());
    drop(caller);
    let settled = OpReply::Ready(vec!["settled".into(), Field::Num(kept_second as f64)]);
    assert_eq!(callee.next(1, to_callee), settled);
    assert!(all.lock().results.is_empty());
}

#[test]
fn a_result_is_kept_for_those_only_who_reserved_it_in_time_and_may_be_bound_to_fail() {
    let all = Functions::default();
    let (caller, callee, other) = (all.seat(), all.seat(), all.seat());
    let (to_caller, heard) = events();
    let first = call(&caller, 1, &to_caller);
    assert!(!other.reserve(1), "numbers are the caller's own");
    assert!(caller.ask(1, Bytes::new(), 9, 9, to_caller.clone()).is_err(), "not reserved");
    assert_eq!(callee.claim(first.result), None);
    assert!(!caller.reserve(1));
    first.answer(Bytes::new());
    assert!(matches!(heard.recv().unwrap(), Event::Complete { id: 101, .. }));

    let failing = call(&caller, 2, &to_caller);
    assert!(caller.reserve(2));
    caller.ask(2, Bytes::new(), 3, 3, to_caller.clone()).unwrap();
    assert!(caller.reserve(3));
    caller.ask(3, Bytes::new(), 4, 4, to_caller.clone()).unwrap();
    failing.fail("it crashed".to_owned());
    for expected in [3, 4, 102] {
        let Event::Failed { id, message, .. } = heard.recv().unwrap() else { panic!() };
        assert_eq!((id, message.as_str()), (expected, "it crashed"));
    }
    // The isolate is gone after it has said that it keeps the result.
    let kept = call(&caller, 5, &to_caller);
    assert!(caller.reserve(5));
    caller.ask(5, Bytes::new(), 6, 6, to_caller.clone()).unwrap();
    callee.claim(kept.result).unwrap();
    drop(callee);
    let Event::Failed { id: 6, message, .. } = heard.recv().unwrap() else { panic!() };
    assert_eq!(message, GONE);
    caller.ask(5, Bytes::new(), 7, 7, to_caller.clone()).unwrap();
    assert!(matches!(heard.recv().unwrap(), Event::Failed { id: 7, .. }));
    kept.fail("gone".to_owned());
    caller.settled(5);
    assert!(all.lock().results.is_empty());
    assert!(all.lock().owners.values().all(|owner| owner.wanted == 0));
}

#[test]
fn what_an_isolate_held_is_released_when_it_is_gone_and_who_watched_its_functions_is_told() {
    let all = Functions::default();
    let (here, there) = (all.seat(), all.seat());
    let (to_here, _) = events();
    let (to_there, heard) = events();
    let (token, kept) = (here.export().unwrap(), here.export().unwrap());
    there.hold(&token);
    there.retain(&kept).unwrap();
    assert_eq!(there.watch(&kept, 1, 1, to_there.clone()), Ok(OpReply::Later));
    assert_eq!(there.watch(&kept, 2, 2, to_there.clone()), Ok(OpReply::Later));
    there.unwatch(2);
    assert!(matches!(heard.recv().unwrap(), Event::Complete { id: 2, fields } if fields.is_empty()));
    let third = all.seat();
    assert_eq!(third.watch(&kept, 1, 3, to_there.clone()), Ok(OpReply::Later));
    drop(third);
    assert_eq!(all.lock().watches.len(), 1);
    drop(there);
    assert!(all.lock().watches.is_empty());
    let released = OpReply::Ready(vec!["release".into(), Field::from(token)]);
    assert_eq!(here.next(1, to_here), released);
    // The one that was held twice is still its exporter's.
    let again = all.seat();
    assert_eq!(again.watch(&kept, 7, 7, to_there.clone()), Ok(OpReply::Later));
    drop(here);
    let gone = vec![Field::Num(1.0)];
    assert!(matches!(heard.recv().unwrap(), Event::Complete { id: 7, fields } if fields == gone));
    assert_eq!(again.watch(&kept, 8, 8, to_there), Ok(OpReply::Ready(gone)));
}
