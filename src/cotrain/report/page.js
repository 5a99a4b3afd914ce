"use strict";
const $ = (id) => document.getElementById(id);
const read = (id) => JSON.parse($(id).textContent);

function fill(select, names, chosen) {
  select.replaceChildren(...names.map((name) => new Option(name, name, false, name === chosen)));
}

// ---- pictures: the data of an image is parsed when it is looked at, not before

function view() {
  const ids = read("ids");
  let layers = {};

  function openAlbum() {
    $("image").replaceChildren(...ids[$("album").selectedIndex].map((id, n) => new Option(id, n)));
    openImage();
  }

  function openImage() {
    const id = `picture-${$("album").selectedIndex}-${$("image").selectedIndex}`;
    if (!$(id)) {  // the page is still being read
      document.addEventListener("DOMContentLoaded", openImage, { once: true });
      return;
    }
    const picture = read(id);
    layers = picture.layers;
    $("view").style.aspectRatio = $("beside").checked ? "" : `${picture.size[1]} / ${picture.size[0]}`;
    const names = Object.keys(layers);
    const last = (start) => names.findLast((name) => name.startsWith(start) && !name.endsWith("upper bound"));
    const wanted = (side, other) => (names.includes($(side).value) ? $(side).value : other);
    fill($("left"), names, wanted("left", layers.truth ? "truth" : "photograph"));
    fill($("right"), names, wanted("right", last("pseudo-label") || last("prediction")));
    show();
  }

  function show() {
    const image = $("image").selectedOptions[0].text;
    for (const side of ["left", "right"]) {
      const name = $(side).value;
      const [under, over] = $(`pane-${side}`).children;
      under.src = layers.photograph;
      over.src = layers[name];
      over.alt = `${name}, image ${image}`;
      over.className = /^(photograph|confidence)/.test(name) ? "over" : "over map";
      over.style.opacity = $("opacity").value / 100;
    }
    const beside = $("beside").checked;
    $("view").classList.toggle("beside", beside);
    $("view").style.setProperty("--border", `${$("border").value}%`);
    $("border").disabled = beside;
    $("caption").textContent = `Image ${image}. Left: ${$("left").value}. Right: ${$("right").value}.`;
  }

  function step(by) {
    const count = $("image").length;
    $("image").selectedIndex = ($("image").selectedIndex + by + count) % count;
    openImage();
  }

  $("album").addEventListener("change", openAlbum);
  $("image").addEventListener("change", openImage);
  $("beside").addEventListener("change", openImage);
  for (const id of ["left", "right"]) $(id).addEventListener("change", show);
  for (const id of ["border", "opacity"]) $(id).addEventListener("input", show);
  $("previous").addEventListener("click", () => step(-1));
  $("next").addEventListener("click", () => step(1));
  openAlbum();
}

// ---- confusion matrix

function confusion() {
  const { classes, models } = read("json-confusion");

  function cell(kind, text, scope) {
    const made = document.createElement(kind);
    made.textContent = text;
    if (scope) made.scope = scope;
    return made;
  }

  function show() {
    const table = document.createElement("table");
    const head = table.createTHead().insertRow();
    head.append(cell("th", "true \\ predicted, %", "col"), ...classes.map((name) => cell("th", name, "col")));
    const body = table.createTBody();
    models[$("model").value].forEach((counts, c) => {
      const total = counts.reduce((sum, n) => sum + n, 0);
      const row = body.insertRow();
      row.append(cell("th", classes[c], "row"));
      for (const n of counts) {
        const one = cell("td", total ? ((100 * n) / total).toFixed(1) : "–");
        one.className = "heat";
        one.style.setProperty("--share", total ? n / total : 0);
        row.append(one);
      }
    });
    $("matrix").replaceChildren(table);
  }

  $("model").addEventListener("change", show);
  show();
}

// ---- charts: drawn when they come into view

function drawCharts() {
  const observer = new IntersectionObserver(
    (seen) => {
      for (const { target, isIntersecting } of seen) {
        if (!isIntersecting) continue;
        observer.unobserve(target);
        Bokeh.embed.embed_item(read(target.id.replace("chart-", "json-")), target.id);
      }
    },
    { rootMargin: "200px" },
  );
  for (const chart of document.querySelectorAll(".chart")) observer.observe(chart);
}

if ($("album")) view();
if ($("model")) confusion();
