//! `html.*`: HTMLRewriter, by the parser that Cloudflare's own one has (`lol_html`).
//!
//! That parser calls its handlers and waits for them, while ours are in the guest, may be asynchronous, and can only be called
//! between operations. So each rewriter has a thread of its own, which stands still inside the parser until the guest says what
//! its handler has done:
//!
//! ```text
//! guest   write ─┐         ┌─ handler runs ─ reply ─┐        ┌─ next write
//! thread         └─ parses ┴─ waits                 └ parses ┴─ waits
//! ```
//!
//! Every answer has what was rewritten in the meantime as its second field, and says in its first what is wanted:
//! nothing but more input ([`DONE`]), or that a handler be called.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use lol_html::html_content::{Comment, ContentType, Doctype, DocumentEnd, Element, EndTag, TextChunk};
use lol_html::{
    DocumentContentHandlers, ElementContentHandlers, HandlerResult, HtmlRewriter, MemorySettings, Selector,
    Settings,
};
use taipan_engine::{Event, OpReply, thread_cpu};
use taipan_guest::protocol::{Field, FieldRef, Message};

use super::OpError;
use crate::background::Client;

/// Rewriters at work in the whole process.
const MOST: usize = 512;
const MOST_HANDLERS: usize = 1000;
const STACK: usize = 512 << 10;
/// A rewriter keeps a tag that has not ended yet, and selectors' state.
const MEMORY: usize = 16 << 20;

static RUNNING: AtomicUsize = AtomicUsize::new(0);

// What the guest is asked to do.
const DONE: u32 = 0;
const ELEMENT: u32 = 1;
const COMMENT: u32 = 2;
const TEXT: u32 = 3;
const DOCTYPE: u32 = 4;
const DOCUMENT_END: u32 = 5;
const END_TAG: u32 = 6;

// Which handlers there are.
const HAS_ELEMENT: u32 = 1;
const HAS_COMMENTS: u32 = 2;
const HAS_TEXT: u32 = 4;
const HAS_DOCTYPE: u32 = 8;
const HAS_END: u32 = 16;

struct Handlers {
    /// None: of the document.
    selector: Option<String>,
    has: u32,
}

/// What the guest says.
enum Say {
    Write(Vec<u8>),
    End,
    /// What a handler has done, as names of changes with what they need.
    Reply(Vec<Change>),
}

struct Change {
    name: String,
    /// Content, or an attribute's name.
    first: String,
    /// Whether the content is HTML ("html"), or an attribute's value.
    second: String,
}

type Request = (Say, u32, Client);

/// The rewriters of an isolate, by number.
#[derive(Default)]
pub(super) struct Rewriters {
    last: u32,
    open: HashMap<u32, Sender<Request>>,
}

pub(super) fn call(
    verb: &str,
    id: u32,
    args: &Message<'_>,
    rewriters: &mut Rewriters,
    client: Client,
) -> Result<OpReply, OpError> {
    let say = match verb {
        "open" => return open(args, rewriters).map(|number| OpReply::Ready(vec![number.into()])),
        "drop" => {
            rewriters.open.remove(&args.u32(0)?);
            return Ok(OpReply::Ready(vec![]));
        }
        "write" => Say::Write(args.bytes(2)?.to_vec()),
        "end" => Say::End,
        "reply" => {
            let mut changes = Vec::new();
            for i in (2..args.len()).step_by(3) {
                let text = |i| args.str(i).map(str::to_owned);
                changes.push(Change { name: text(i)?, first: text(i + 1)?, second: text(i + 2)? });
            }
            Say::Reply(changes)
        }
        _ => return Err(OpError::unknown(verb)),
    };
    let number = args.u32(0)?;
    let gone = || OpError::type_error("the HTML rewriter is gone");
    let rewriter = rewriters.open.get(&number).ok_or_else(gone)?;
    let client = Client { request: args.u32(1)?, ..client };
    rewriter.send((say, id, client)).map_err(|_| gone())?;
    Ok(OpReply::Later)
}

fn open(args: &Message<'_>, rewriters: &mut Rewriters) -> Result<u32, OpError> {
    let mut handlers = Vec::new();
    for i in (0..args.len()).step_by(2) {
        let selector = match args.get(i) {
            FieldRef::Null => None,
            _ => Some(args.str(i)?.to_owned()),
        };
        if let Some(text) = &selector {
            text.parse::<Selector>()
                .map_err(|e| OpError::type_error(format!("this is not a selector: {text} ({e})")))?;
        }
        handlers.push(Handlers { selector, has: args.u32(i + 1)? });
    }
    if handlers.len() > MOST_HANDLERS {
        return Err(OpError::range_error(format!("an HTML rewriter has {MOST_HANDLERS} handlers at most")));
    }
    if RUNNING.fetch_add(1, Ordering::Relaxed) >= MOST {
        RUNNING.fetch_sub(1, Ordering::Relaxed);
        return Err(OpError::range_error(format!("{MOST} HTML rewriters are at work already")));
    }
    let (sender, requests) = channel();
    let builder = thread::Builder::new().name("html".into()).stack_size(STACK);
    let spawned = builder.spawn(move || {
        // What panics has said so, and whoever waits is told by the request that is dropped.
        catch_unwind(AssertUnwindSafe(|| rewrite(&handlers, requests))).unwrap_or_default();
        RUNNING.fetch_sub(1, Ordering::Relaxed);
    });
    if let Err(e) = spawned {
        RUNNING.fetch_sub(1, Ordering::Relaxed);
        return Err(OpError::range_error(format!("there is no thread for an HTML rewriter: {e}")));
    }
    rewriters.last = rewriters.last.wrapping_add(1);
    rewriters.open.insert(rewriters.last, sender);
    Ok(rewriters.last)
}

/// The thread's side of the conversation with the guest.
struct Guest {
    requests: Receiver<Request>,
    /// Who waits for an answer. Dropped, it fails: a panic must leave nobody waiting.
    waiting: RefCell<Option<Waiting>>,
    output: RefCell<Vec<u8>>,
}

struct Waiting {
    id: u32,
    /// The thread's time when it began with the answer.
    begun: Duration,
    /// Taken when there is an answer.
    client: Option<Client>,
}

impl Waiting {
    fn answer(mut self, event: Event) {
        if let Some(client) = self.client.take() {
            client.tell(event, thread_cpu().saturating_sub(self.begun));
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            let message = "the HTML rewriter has stopped".to_owned();
            client.events.send(Event::Failed { id: self.id, name: "TypeError", message });
        }
    }
}

/// The guest is gone, or has broken off.
#[derive(Debug, thiserror::Error)]
#[error("the guest has gone")]
struct Gone;

impl Guest {
    fn answer(&self, kind: u32, rest: Vec<Field>) {
        let Some(waiting) = self.waiting.take() else { return };
        let mut fields: Vec<Field> = vec![kind.into(), std::mem::take(&mut *self.output.borrow_mut()).into()];
        fields.extend(rest);
        let id = waiting.id;
        waiting.answer(Event::Complete { id, fields });
    }

    fn fail(&self, message: String) {
        let Some(waiting) = self.waiting.take() else { return };
        let id = waiting.id;
        waiting.answer(Event::Failed { id, name: "TypeError", message });
    }

    fn hear(&self) -> Result<Say, Gone> {
        let (say, id, client) = self.requests.recv().map_err(|_| Gone)?;
        self.waiting.replace(Some(Waiting { id, begun: thread_cpu(), client: Some(client) }));
        Ok(say)
    }

    /// Has the guest call a handler, and gives what that has done.
    fn ask(&self, kind: u32, handler: u32, about: Vec<Field>) -> Result<Vec<Change>, Gone> {
        let mut rest = vec![handler.into()];
        rest.extend(about);
        self.answer(kind, rest);
        match self.hear()? {
            Say::Reply(changes) => Ok(changes),
            // The guest does not do what it was asked for: it is of no use any more.
            Say::Write(_) | Say::End => Err(Gone),
        }
    }
}

fn rewrite(handlers: &[Handlers], requests: Receiver<Request>) {
    let guest = Rc::new(Guest { requests, waiting: RefCell::default(), output: RefCell::default() });
    let memory = MemorySettings::new().with_max_allowed_memory_usage(MEMORY);
    let mut settings = Settings::new().with_memory_settings(memory);
    for (number, handler) in (0..).zip(handlers) {
        settings = match &handler.selector {
            Some(text) => {
                let Ok(selector) = text.parse::<Selector>() else { return };
                let content = element_handlers(&guest, number, handler.has);
                settings.append_element_content_handler((Cow::Owned(selector), content))
            }
            None => settings.append_document_content_handler(document_handlers(&guest, number, handler.has)),
        };
    }
    let sink = guest.clone();
    let mut rewriter = HtmlRewriter::new(settings, move |chunk: &[u8]| {
        sink.output.borrow_mut().extend_from_slice(chunk);
    });
    loop {
        let written = match guest.hear() {
            Ok(Say::Write(bytes)) => rewriter.write(&bytes),
            Ok(Say::End) => break,
            // Nothing was asked.
            Ok(Say::Reply(_)) => return,
            Err(Gone) => return,
        };
        if let Err(e) = written {
            return guest.fail(format!("the HTML cannot be rewritten: {e}"));
        }
        guest.answer(DONE, vec![]);
    }
    match rewriter.end() {
        Ok(()) => guest.answer(DONE, vec![]),
        Err(e) => guest.fail(format!("the HTML cannot be rewritten: {e}")),
    }
}

fn element_handlers(guest: &Rc<Guest>, number: u32, has: u32) -> ElementContentHandlers<'static> {
    let mut handlers = ElementContentHandlers::default();
    if has & HAS_ELEMENT != 0 {
        let guest = guest.clone();
        handlers = handlers.element(move |element: &mut Element<'_, '_>| on_element(&guest, number, element));
    }
    if has & HAS_COMMENTS != 0 {
        let guest = guest.clone();
        handlers = handlers.comments(move |comment: &mut Comment<'_>| on_comment(&guest, number, comment));
    }
    if has & HAS_TEXT != 0 {
        let guest = guest.clone();
        handlers = handlers.text(move |text: &mut TextChunk<'_>| on_text(&guest, number, text));
    }
    handlers
}

fn document_handlers(guest: &Rc<Guest>, number: u32, has: u32) -> DocumentContentHandlers<'static> {
    let mut handlers = DocumentContentHandlers::default();
    if has & HAS_DOCTYPE != 0 {
        let guest = guest.clone();
        handlers = handlers.doctype(move |doctype: &mut Doctype<'_>| {
            let about = [doctype.name(), doctype.public_id(), doctype.system_id()];
            let about = about.map(|text| text.map_or(Field::Null, Field::from)).to_vec();
            for change in guest.ask(DOCTYPE, number, about)? {
                if change.name == "remove" {
                    doctype.remove();
                }
            }
            Ok(())
        });
    }
    if has & HAS_COMMENTS != 0 {
        let guest = guest.clone();
        handlers = handlers.comments(move |comment: &mut Comment<'_>| on_comment(&guest, number, comment));
    }
    if has & HAS_TEXT != 0 {
        let guest = guest.clone();
        handlers = handlers.text(move |text: &mut TextChunk<'_>| on_text(&guest, number, text));
    }
    if has & HAS_END != 0 {
        let guest = guest.clone();
        handlers = handlers.end(move |end: &mut DocumentEnd<'_>| {
            for change in guest.ask(DOCUMENT_END, number, vec![])? {
                if change.name == "append" {
                    end.append(&change.first, change.content());
                }
            }
            Ok(())
        });
    }
    handlers
}

impl Change {
    fn content(&self) -> ContentType {
        if self.second == "html" { ContentType::Html } else { ContentType::Text }
    }
}

fn flag(is: bool) -> Field {
    u32::from(is).into()
}

fn on_element(guest: &Rc<Guest>, number: u32, element: &mut Element<'_, '_>) -> HandlerResult {
    let mut about: Vec<Field> = vec![
        element.tag_name_preserve_case().into(),
        element.namespace_uri().into(),
        flag(element.removed()),
        flag(element.is_self_closing()),
        flag(element.can_have_content()),
    ];
    for attribute in element.attributes() {
        about.extend([attribute.name().into(), attribute.value().into()]);
    }
    for change in guest.ask(ELEMENT, number, about)? {
        let (content, text) = (change.content(), change.first.as_str());
        match change.name.as_str() {
            "before" => element.before(text, content),
            "after" => element.after(text, content),
            "prepend" => element.prepend(text, content),
            "append" => element.append(text, content),
            "replace" => element.replace(text, content),
            "setInnerContent" => element.set_inner_content(text, content),
            "remove" => element.remove(),
            "removeAndKeepContent" => element.remove_and_keep_content(),
            "setAttribute" => element.set_attribute(text, &change.second)?,
            "removeAttribute" => element.remove_attribute(text),
            "tagName" => element.set_tag_name(text)?,
            "onEndTag" => {
                let (guest, token) = (guest.clone(), change.first);
                let handler = Box::new(move |tag: &mut EndTag<'_>| on_end_tag(&guest, &token, tag));
                if let Some(handlers) = element.end_tag_handlers() {
                    handlers.push(handler);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn on_end_tag(guest: &Rc<Guest>, token: &str, tag: &mut EndTag<'_>) -> HandlerResult {
    let number = token.parse().unwrap_or_default();
    for change in guest.ask(END_TAG, number, vec![tag.name_preserve_case().into(), flag(tag.removed())])? {
        let (content, text) = (change.content(), change.first.as_str());
        match change.name.as_str() {
            "before" => tag.before(text, content),
            "after" => tag.after(text, content),
            "replace" => tag.replace(text, content),
            "remove" => tag.remove(),
            "name" => tag.set_name_str(change.first),
            _ => {}
        }
    }
    Ok(())
}

fn on_comment(guest: &Rc<Guest>, number: u32, comment: &mut Comment<'_>) -> HandlerResult {
    for change in guest.ask(COMMENT, number, vec![comment.text().into(), flag(comment.removed())])? {
        let (content, text) = (change.content(), change.first.as_str());
        match change.name.as_str() {
            "before" => comment.before(text, content),
            "after" => comment.after(text, content),
            "replace" => comment.replace(text, content),
            "remove" => comment.remove(),
            "text" => comment.set_text(text)?,
            _ => {}
        }
    }
    Ok(())
}

fn on_text(guest: &Rc<Guest>, number: u32, chunk: &mut TextChunk<'_>) -> HandlerResult {
    let about = vec![chunk.as_str().into(), flag(chunk.last_in_text_node()), flag(chunk.removed())];
    for change in guest.ask(TEXT, number, about)? {
        let (content, text) = (change.content(), change.first.as_str());
        match change.name.as_str() {
            "before" => chunk.before(text, content),
            "after" => chunk.after(text, content),
            "replace" => chunk.replace(text, content),
            "remove" => chunk.remove(),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Receiver;

    use taipan_guest::protocol::encode;

    use super::*;
    use crate::{EventSender, Requests};

    struct Host {
        rewriters: Rewriters,
        client: Client,
        arrived: Receiver<Event>,
    }

    impl Host {
        fn new() -> Self {
            let (sender, arrived) = channel();
            let events = EventSender::new(move |event| drop(sender.send(event)));
            let client = Client::of(&Requests::default(), &events);
            Self { rewriters: Rewriters::default(), client, arrived }
        }

        fn call(&mut self, verb: &str, fields: &[Field]) -> Result<Vec<Field>, String> {
            let mut fields = fields.to_vec();
            if verb != "open" {
                // Nobody's request.
                fields.insert(1, 0.0.into());
            }
            let bytes = encode(&fields);
            let client = self.client.clone();
            match call(verb, 1, &Message::decode(&bytes).unwrap(), &mut self.rewriters, client) {
                Ok(OpReply::Ready(fields)) => Ok(fields),
                Ok(OpReply::Later) => {
                    match self.arrived.recv_timeout(std::time::Duration::from_secs(30)).unwrap() {
                        Event::Complete { fields, .. } => Ok(fields),
                        Event::Failed { message, .. } => Err(message),
                        other => panic!("{other:?}"),
                    }
                }
                Ok(OpReply::Failed { message, .. }) => Err(message),
                Err(e) => Err(e.message),
            }
        }
    }

    fn output(fields: &[Field]) -> String {
        match &fields[1] {
            Field::Bytes(bytes) => String::from_utf8(bytes.clone()).unwrap(),
            _ => panic!("no output"),
        }
    }

    #[test]
    fn handlers_are_asked_in_the_middle_of_a_chunk() {
        let mut host = Host::new();
        host.call("open", &["a[href]".into(), HAS_ELEMENT.into(), Field::Null, HAS_END.into()]).unwrap();
        let one: Field = 1.0.into();
        let asked = host.call("write", &[one.clone(), Field::Bytes(b"<p><a href=x>y</a>".to_vec())]).unwrap();
        assert_eq!(output(&asked), "<p>");
        assert_eq!(asked[0], Field::from(ELEMENT));
        assert_eq!(asked[3], Field::from("a"));
        assert_eq!(asked[8..], ["href".into(), "x".into()]);
        let reply = ["setAttribute", "href", "<z>", "append", "<b>", "text", "onEndTag", "7", ""];
        let mut fields = vec![one.clone()];
        fields.extend(reply.map(Field::from));
        let asked = host.call("reply", &fields).unwrap();
        assert_eq!((&asked[0], &asked[2]), (&END_TAG.into(), &7.0.into()));
        let done = host.call("reply", &[one.clone(), "after".into(), "<hr>".into(), "html".into()]).unwrap();
        assert_eq!(done[0], Field::from(DONE));
        let all = output(&asked) + &output(&done);
        assert_eq!(all, "<a href=\"<z>\">y&lt;b&gt;</a><hr>");
        let asked = host.call("end", std::slice::from_ref(&one)).unwrap();
        assert_eq!(asked[0], Field::from(DOCUMENT_END));
        let done = host.call("reply", &[one, "append".into(), "!".into(), "text".into()]).unwrap();
        assert_eq!(output(&done), "!");
    }

    #[test]
    fn what_makes_no_sense_is_an_error() {
        let mut host = Host::new();
        assert!(host.call("open", &["a[".into(), 1.0.into()]).unwrap_err().contains("not a selector"));
        assert!(host.call("write", &[1.0.into(), Field::Bytes(vec![])]).is_err());
        host.call("open", &["a".into(), HAS_ELEMENT.into()]).unwrap();
        let one: Field = 1.0.into();
        assert!(host.call("reply", std::slice::from_ref(&one)).unwrap_err().contains("stopped"));
        assert!(host.call("write", &[one, Field::Bytes(vec![])]).is_err());
        host.call("open", &["a".into(), HAS_ELEMENT.into()]).unwrap();
        let two: Field = 2.0.into();
        host.call("write", &[two.clone(), Field::Bytes(b"<a>".to_vec())]).unwrap();
        let wrong = ["setAttribute", "a b", ""].map(Field::from);
        let failed = host.call("reply", &[&[two][..], &wrong].concat()).unwrap_err();
        assert!(failed.contains("cannot be rewritten"), "{failed}");
        // Threads end with what they work for.
        drop(host);
        for _ in 0..1000 {
            if RUNNING.load(Ordering::Relaxed) == 0 {
                return;
            }
            thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("a thread goes on");
    }

    #[test]
    fn so_many_rewriters_and_no_more() {
        // Other tests have some of them, too.
        let mut host = Host::new();
        let open = |host: &mut Host| host.call("open", &["a".into(), HAS_ELEMENT.into()]);
        let mut held = 0;
        let refused = loop {
            match open(&mut host) {
                Ok(_) => held += 1,
                Err(message) => break message,
            }
            assert!(held <= 512, "there is no bound");
        };
        assert_eq!(refused, "512 HTML rewriters are at work already");
        assert!(held > 400, "{held} of them were let in");
        // Those that are dropped make room, as soon as their threads have ended.
        host.rewriters = Rewriters::default();
        let begun = std::time::Instant::now();
        while open(&mut host).is_err() {
            assert!(begun.elapsed().as_secs() < 60, "nothing makes room");
            thread::yield_now();
        }
    }

    #[test]
    fn a_rewriter_keeps_so_much_and_no_more() {
        let mut host = Host::new();
        host.call("open", &["a".into(), HAS_ELEMENT.into()]).unwrap();
        // A tag that does not end has to be kept until it does.
        let mut kept = 0;
        let refused = loop {
            let piece = if kept == 0 { b"<a href='".to_vec() } else { vec![b'x'; 1 << 20] };
            kept += piece.len();
            match host.call("write", &[1.0.into(), Field::Bytes(piece)]) {
                Ok(_) => assert!(kept < 64 << 20, "there is no bound"),
                Err(message) => break message,
            }
        };
        assert!(refused.to_lowercase().contains("memory"), "{refused}");
        assert!(kept > 7 << 20, "after {kept} bytes");
    }
}
