// Nothing here is needed to read the report: filters, search, and figures as PNG.
(() => {
  const articles = [...document.querySelectorAll("article[id]")];
  const form = document.getElementById("filter");
  if (form) {
    const search = document.getElementById("search");
    const boxes = [...form.querySelectorAll("input[name=status]")];
    const texts = new Map(articles.map((a) => [a, a.textContent.toLowerCase()]));
    const apply = () => {
      const wanted = new Set(boxes.filter((b) => b.checked).map((b) => b.value));
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let count = 0;
      for (const a of articles) {
        const shown = wanted.has(a.dataset.status) && words.every((w) => texts.get(a).includes(w));
        a.hidden = !shown;
        count += shown;
        for (const entry of document.querySelectorAll(`[data-for="${CSS.escape(a.id)}"]`)) entry.hidden = !shown;
      }
      for (const part of document.querySelectorAll(".part")) part.hidden = !part.querySelector("article:not([hidden])");
      document.getElementById("shown").textContent =
        count === articles.length ? "" : `${count} of ${articles.length} claims are shown.`;
    };
    form.hidden = false;
    form.addEventListener("input", apply);
    form.addEventListener("submit", (event) => event.preventDefault());
    // A link to a claim that is filtered away shows all again.
    addEventListener("hashchange", () => {
      const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
      if (target && target.closest("[hidden]")) {
        search.value = "";
        for (const box of boxes) box.checked = true;
        apply();
        target.scrollIntoView();
      }
    });
    apply();
  }
  const whole = (svg) => {
    const copy = svg.cloneNode(true);
    const [, , width, height] = svg.getAttribute("viewBox").split(/[ ,]+/).map(Number);
    const defs = document.createElementNS("http://www.w3.org/2000/svg", "defs");
    for (const use of copy.querySelectorAll("use")) {
      const name = use.getAttribute("href").slice(1);
      if (!copy.querySelector(`[id="${name}"]`) && !defs.querySelector(`[id="${name}"]`)) {
        const glyph = document.getElementById(name);
        if (glyph) defs.append(glyph.cloneNode(true));
      }
    }
    copy.prepend(defs);
    copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    copy.setAttribute("width", width);
    copy.setAttribute("height", height);
    return [new XMLSerializer().serializeToString(copy), width, height];
  };
  for (const button of document.querySelectorAll("button.png")) {
    const svg = document.getElementById(button.dataset.name);
    if (!svg) continue;
    button.hidden = false;
    button.addEventListener("click", () => {
      const [text, width, height] = whole(svg);
      const image = new Image();
      image.onload = () => {
        const canvas = document.createElement("canvas");
        canvas.width = 3 * width;
        canvas.height = 3 * height;
        canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
        const link = document.createElement("a");
        link.href = canvas.toDataURL("image/png");
        link.download = `${button.dataset.name.replace(/^figure-/, "")}.png`;
        link.click();
      };
      image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
    });
  }
})();
