"use strict";
document.documentElement.classList.add("js");

// A link into a folded scenario unfolds it; printing unfolds all of them.
const unfold = () => {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  const folded = target && target.closest("details");
  if (folded) { folded.open = true; target.scrollIntoView(); }
};
addEventListener("hashchange", unfold);
addEventListener("beforeprint", () => document.querySelectorAll("details.scenario").forEach((one) => { one.open = true; }));
unfold();

const seconds = (ms) => {
  const text = Math.abs(ms) < 1000 ? Math.abs(ms).toFixed(0) + " ms" : (Math.abs(ms) / 1000).toFixed(2) + " s";
  return (ms < 0 ? "\u2212" : "+") + text;
};
const tick = (s) => {
  const text = String(Number(Math.abs(s).toFixed(3)));
  return text === "0" ? "0" : (s < 0 ? "\u2212" : "") + text + " s";
};

document.querySelectorAll(".chart").forEach((chart) => {
  const plot = chart.querySelector(".plot"), svg = plot.querySelector("svg"), labels = plot.querySelector("div");
  const readout = chart.querySelector(".readout"), keys = chart.querySelector(".scroll");
  const from = Number(chart.dataset.from), to = Number(chart.dataset.to);
  const height = svg.viewBox.baseVal.height, axis = labels.querySelector(".x");
  const axisTop = axis ? axis.style.top : height + "px";
  let low = from, high = to, at = null, bins = null, drag = null;
  const cursor = document.createElement("div"), pick = document.createElement("div");
  cursor.className = "cursor"; pick.className = "pick";
  cursor.hidden = pick.hidden = true;
  plot.append(cursor, pick);

  const show = (ms) => {
    bins = bins || JSON.parse(chart.querySelector(".bins").textContent);
    at = Math.min(high, Math.max(low, ms));
    cursor.hidden = false;
    cursor.style.left = 100 * (at - low) / (high - low) + "%";
    const n = bins.n.length, bin = Math.min(n - 1, Math.max(0, Math.floor((at - from) * n / (to - from))));
    const told = [seconds(at), bins.n[bin] + " answers in " + ((to - from) / n).toFixed(0) + " ms"];
    for (const [name, share] of Object.entries(bins.share)) if (share[bin]) told.push(name + " " + share[bin] + " %");
    if (bins.p50[bin] !== null) told.push("p50 " + bins.p50[bin] + " ms", "p99 " + bins.p99[bin] + " ms");
    told.push((bins.lost[bin] || 0) + " lost");
    readout.textContent = told.join("  \u00b7  ");
  };
  const place = () => {
    const width = plot.clientWidth;
    labels.querySelectorAll("[data-t]").forEach((label) => {
      const share = (Number(label.dataset.t) - low) / (high - low);
      label.classList.toggle("out", share < 0 || share > 1);
      label.style.left = 100 * share + "%";
      if (!width) return; // folded: the page's own placing stands until somebody unfolds it
      const before = share * width + label.offsetWidth + 10 > width && share > 0.3;
      label.classList.toggle("before", before); label.classList.toggle("after", !before);
    });
  };
  place();
  const folded = chart.closest("details.scenario");
  if (folded) folded.addEventListener("toggle", place);
  const view = (start, stop) => {
    low = Math.max(from, Math.min(start, stop)); high = Math.min(to, Math.max(start, stop));
    if (high - low < 1) { low = from; high = to; }
    svg.setAttribute("viewBox", low + " 0 " + (high - low) + " " + height);
    place();
    labels.querySelectorAll(".x").forEach((label) => label.remove());
    const rough = (high - low) / 1000 / 8, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((f) => f * power).find((s) => s >= rough);
    for (let k = Math.ceil(low / 1000 / step); k * step * 1000 <= high; k += 1) {
      const label = document.createElement("span");
      const share = (k * step * 1000 - low) / (high - low);
      label.className = "x" + (share < 0.03 ? " first" : share > 0.97 ? " last" : "");
      label.textContent = tick(k * step);
      label.style.left = 100 * share + "%"; label.style.top = axisTop;
      labels.append(label);
    }
    cursor.hidden = true;
  };
  const under = (event) => {
    const box = plot.getBoundingClientRect();
    return low + (high - low) * (event.clientX - box.left) / box.width;
  };
  plot.addEventListener("pointermove", (event) => {
    const ms = under(event);
    show(ms);
    if (drag === null) return;
    const a = Math.max(low, Math.min(drag, ms)), b = Math.min(high, Math.max(drag, ms));
    pick.hidden = false;
    pick.style.left = 100 * (a - low) / (high - low) + "%"; pick.style.width = 100 * (b - a) / (high - low) + "%";
  });
  plot.addEventListener("pointerdown", (event) => { if (event.pointerType === "mouse") { drag = under(event); event.preventDefault(); keys.focus(); } });
  addEventListener("pointerup", (event) => {
    if (drag === null) return;
    const start = drag, stop = under(event);
    drag = null; pick.hidden = true;
    if (Math.abs(stop - start) > (high - low) / 100) view(start, stop);
  });
  plot.addEventListener("pointerleave", () => { if (drag === null) cursor.hidden = true; });
  plot.addEventListener("dblclick", () => view(from, to));
  keys.addEventListener("keydown", (event) => {
    const now = at === null ? (low + high) / 2 : at, step = (high - low) / (event.shiftKey ? 20 : 200), wide = high - low;
    if (event.key === "ArrowLeft") show(now - step);
    else if (event.key === "ArrowRight") show(now + step);
    else if (event.key === "Home") show(low);
    else if (event.key === "End") show(high);
    else if (event.key === "+" || event.key === "=") { view(now - wide / 4, now + wide / 4); show(now); }
    else if (event.key === "-") { view(now - wide, now + wide); show(now); }
    else if (event.key === "Escape" || event.key === "0") view(from, to);
    else return;
    event.preventDefault();
  });
  const zoom = chart.querySelector(".zoom");
  if (zoom) {
    zoom.querySelectorAll("button").forEach((button) => button.addEventListener("click", () => view(Number(button.dataset.from), Number(button.dataset.to))));
    const all = document.createElement("button");
    all.type = "button"; all.textContent = "whole run";
    all.addEventListener("click", () => view(from, to));
    zoom.append(all);
  }
});
