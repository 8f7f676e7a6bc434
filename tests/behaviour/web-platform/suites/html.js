const page = (...parts) => new Response(new ReadableStream({
  start(c) {
    for (const part of parts) c.enqueue(utf8(part));
    c.close();
  },
}), { headers: { "content-type": "text/html", "content-length": "999" } });
const rewritten = (rewriter, ...parts) => rewriter.transform(page(...parts)).text();

test("elements are changed", async () => {
  const rewriter = new HTMLRewriter().on("a[href]", {
    element(element) {
      equal([element.tagName, element.getAttribute("HREF"), element.hasAttribute("class"), element.removed], ["a", "x", false, false]);
      equal(element.namespaceURI, "http://www.w3.org/1999/xhtml");
      element.setAttribute("href", `https://x/?a=1&b="2"`).removeAttribute("id");
      equal([...element.attributes], [["href", `https://x/?a=1&b="2"`], ["title", "t"]]);
      element.before("<b>", { html: true }).after("</b>", { html: true }).prepend("<").append(">");
      element.tagName = "A-A";
    },
  });
  const response = rewriter.transform(page(`<p><a href=x id=i title="t">li`, `nk</a></p>`));
  equal(response.headers.get("content-length"), null);
  equal(await response.text(), `<p><b><A-A href="https://x/?a=1&b=&quot;2&quot;" title="t">&lt;link&gt;</A-A></b></p>`);
});
test("removing and replacing", async () => {
  const rewriter = new HTMLRewriter()
    .on("i", { element: e => void e.remove() })
    .on("b", { element: e => void e.removeAndKeepContent() })
    .on("u", { element: e => void e.replace("<hr>", { html: true }) })
    .on("s", { element: e => void e.setInnerContent("new") });
  equal(await rewritten(rewriter, "<i>1</i><b>2</b><u>3</u><s>4</s>"), "2<hr><s>new</s>");
});
test("handlers may wait, and are called in order", async () => {
  const order = [];
  const rewriter = new HTMLRewriter().on("li", {
    async element(element) {
      order.push("begin");
      await scheduler.wait(2);
      order.push("end");
      element.append(String(order.length));
    },
  });
  equal(await rewritten(rewriter, "<li></li>", "<li></li>"), "<li>2</li><li>4</li>");
  equal(order, ["begin", "end", "begin", "end"]);
});
test("text comes in chunks, the last one of which says so", async () => {
  let whole = "";
  const rewriter = new HTMLRewriter().on("p", {
    text(chunk) {
      whole += chunk.text;
      if (chunk.lastInTextNode) chunk.replace(whole.toUpperCase());
      else chunk.remove();
    },
  });
  equal(await rewritten(rewriter, "<p>ab", "cd", "ef</p>g"), "<p>ABCDEF</p>g");
});
test("comments, the doctype, the end tag and the end", async () => {
  const seen = [];
  const rewriter = new HTMLRewriter()
    .on("div", {
      element: e => e.onEndTag(tag => {
        seen.push(tag.name);
        tag.before("!");
      }),
      comments(comment) {
        comment.text = `${comment.text}?`;
      },
    })
    .onDocument({
      doctype: d => void seen.push([d.name, d.publicId, d.systemId]),
      comments: c => void c.remove(),
      end: end => void end.append("<!--end-->", { html: true }),
    });
  equal(await rewritten(rewriter, "<!DOCTYPE html><!--one--><div><!--two--></div>"), "<!DOCTYPE html><div>!</div><!--end-->");
  equal(seen, [["html", null, null], "div"]);
});
test("content may be a response or a stream", async () => {
  const rewriter = new HTMLRewriter().on("p", { element: e => void e.append(new Response("<b>"), { html: true }).append(new Response("<i>").body) });
  equal(await rewritten(rewriter, "<p></p>"), "<p><b>&lt;i&gt;</p>");
});
test("handlers are called as methods", async () => {
  class Counter {
    count = 0;
    element() {
      this.count++;
    }
  }
  const counter = new Counter();
  await rewritten(new HTMLRewriter().on("*", counter), "<a><b></b></a>");
  equal(counter.count, 2);
});
test("what a handler throws breaks the body off", async () => {
  const rewriter = new HTMLRewriter().on("b", {
    element() {
      throw new RangeError("no");
    },
  });
  await fails("RangeError", () => rewritten(rewriter, "<a></a><b></b>"));
});
test("misuse", async () => {
  await fails("TypeError", () => new HTMLRewriter().on("a[", {}));
  await fails("TypeError", () => new HTMLRewriter().on("a", 1));
  await fails("TypeError", () => new HTMLRewriter().transform("text"));
  let kept;
  await rewritten(new HTMLRewriter().on("a", { element: e => void (kept = e) }), "<a>");
  await fails("TypeError", () => kept.append("late"));
  const rewriter = new HTMLRewriter().on("a", { element: e => e.setAttribute("a b", "") });
  await fails("TypeError", () => rewritten(rewriter, "<a>"));
});
test("a large document streams through", async () => {
  let count = 0;
  const rewriter = new HTMLRewriter().on("a", { element: () => void count++ });
  const parts = Array.from({ length: 200 }, () => `${"<p>some text</p>".repeat(1000)}<a></a>`);
  const body = rewriter.transform(page(...parts)).body;
  let sum = 0;
  for await (const chunk of body) sum += chunk.length;
  equal([count, sum], [200, parts.join("").length]);
});
test("a response without a body has none afterwards", async () => {
  const response = new HTMLRewriter().transform(new Response(null, { status: 204 }));
  equal([response.status, response.body], [204, null]);
});
