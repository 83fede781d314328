"use strict";
/* The page: sliders, diagram, table, spectra, the link and the dropped diagnosis, around `theory` and `diagram`. */

(() => {
  const $ = (id) => document.getElementById(id);
  const SLIDERS = [
    // name, label, least, most, logarithmic, whole
    ["kappa", "κ, strongest signal", 0, 30, false, false],
    ["nu", "ν, nuisance correlation", 0, 1, false, false],
    ["decay", "decay of the signals", 0.05, 1, false, false],
    ["gamma_x", "γ_x, noise on the signals in x", 0, 100, true, false],
    ["gamma_y", "γ_y, noise on the signals in y", 0, 100, true, false],
    ["nuisance_x", "nuisance variance in x", 0, 1000, true, false],
    ["nuisance_y", "nuisance variance in y", 0, 1000, true, false],
    ["k", "k, signals", 1, 20, false, true],
    ["d", "d, dimensions of each view", 1, 400, false, true],
    ["n", "n, rows", 3, 1e6, true, true],
    ["axis", "end of the κ axis", 0.5, 30, false, false]];
  const LEAST_LOG = 1e-3;
  const FIRST = { kappa: 2, nu: 0.5, decay: 1, gamma_x: 1, gamma_y: 0.05, nuisance_x: 1, nuisance_y: 5, k: 3, d: 20,
    n: 1000, axis: 3, limited: false };
  const PRESETS = {
    "Fig. 2 a: strong nuisance in y": { nuisance_y: 5, k: 3, decay: 1 },
    "Fig. 2 b: weak nuisance in y": { nuisance_y: 0.05, k: 3, decay: 1 },
    "Fig. 7, decay 1": { k: 5, decay: 1 }, "Fig. 7, decay 0.8": { k: 5, decay: 0.8 },
    "Fig. 7, decay 0.6": { k: 5, decay: 0.6 }, "Fig. 7, decay 0.4": { k: 5, decay: 0.4 },
    "Fig. 7, decay 0.8, 5000 rows": { k: 5, decay: 0.8, n: 5000, limited: true },
    "Signals and nuisance of Fig. 3 (its strengths 3, 2, 1.5 as 3, 2.12, 1.5)": { kappa: 3, decay: Math.SQRT1_2,
      gamma_x: 0.5, nuisance_y: 50, n: 5000, limited: true, axis: 5 } };
  const OBJECTIVES = { ca: "CA", cp: "CP x→y", cp_reverse: "CP y→x" };
  const SAYS = { "Both": "Both recover all signals: align or predict.", "CA only": "Only alignment recovers all signals: align.",
    "CP only": "Only predicting y from x recovers all signals: predict.",
    "Neither": "Neither recovers all signals." };

  let state = { ...FIRST }, data = null, waiting = false;

  // Numbers as text.

  const text = (value) => (value === Infinity ? "∞" : Number.isNaN(value) ? "?" : value === 0 ? "0"
    : Math.abs(value) >= 1e5 || Math.abs(value) < 1e-3 ? value.toExponential(2) : String(+value.toPrecision(4)));
  const model = (changes) => ({ ...state, ...changes });

  /* What is wrong with a state, in one line, or an empty text. */
  function wrong(m) {
    for (const [name, , low, high, , whole] of SLIDERS) {
      const value = m[name];
      if (!(value >= low && value <= high) || (whole && !Number.isInteger(value))) {
        return `${name}: expected ${whole ? "a whole number" : "a number"} from ${low} to ${high}, got ${value}`;
      }
    }
    if (m.k > m.d) return `k: expected at most d = ${m.d} signals, got ${m.k}`;
    if (m.limited && !(m.n > 2 * m.d)) return `n: expected more than 2 d = ${2 * m.d} rows, got ${m.n}`;
    return "";
  }

  function box(m) {
    if (!data || !data.place) return "";
    const { kappa, nu } = data.place, end = (value) => 100 * Math.min(value / m.axis, 1);
    const place = `x="${end(kappa.low)}" y="${100 * (1 - nu.high)}" height="${Math.max(100 * (nu.high - nu.low), 0.5)}" `
      + `width="${Math.max(end(kappa.high) - end(kappa.low), 0.5)}"`;
    return `<rect class="outer" ${place}/><rect ${place}/>`;  // seen on light and on dark areas
  }

  // The table and the spectra at the star.

  function tell(m) {
    const all = theory.population(m), few = m.limited ? theory.finite(m) : null;
    const regime = few ? few.regime : all.regime;
    $("answer").textContent = `κ = ${text(m.kappa)}, ν = ${text(m.nu)}: ${regime}${few ? ` at ${m.n} rows` : ""}. `
      + SAYS[regime] + (few && all.regime !== regime ? ` With unlimited rows: ${all.regime}.` : "");
    document.body.classList.toggle("hidden-n", !few);
    $("ratios").innerHTML = Object.entries(OBJECTIVES).map(([name, label]) => `<tr data-objective="${name}">`
      + `<th scope="row">${label}</th><td data-value="${all[name].delta}">${text(all[name].delta)}</td>`
      + `<td data-value="${all[name].count}">${all[name].count} of ${m.k}</td>`
      + (few ? `<td class="n" data-value="${few[name].delta}">${text(few[name].delta)}</td><td class="n" `
        + `data-value="${few[name].count}">${few[name].count} of ${m.k}</td>` : "") + "</tr>").join("");
    $("spectra").innerHTML = Object.entries(OBJECTIVES).map(([name, label]) => strip(label, all[name], few && few[name])).join("");
    return { all, few };
  }

  function strip(label, all, few) {
    const top = Math.max(...all.signals, all.nuisance, ...(few ? [...few.signals, few.nuisance] : [0])) || 1;
    const x = (value) => 60 + 280 * value / top;
    const dots = (values, y) => values.map((value) => `<circle cx="${x(value)}" cy="${y}" r="3.6" fill="#0072B2" `
      + `fill-opacity=".75" stroke="currentColor" stroke-width=".5"/>`).join("");
    const bar = (value, y) => `<rect x="${x(value) - 2}" y="${y - 7}" width="4" height="14" fill="#D55E00" stroke="currentColor" stroke-width=".5"/>`;
    const words = `${label}: signals ${all.signals.map(text).join(", ")}; strongest nuisance ${text(all.nuisance)}`
      + (few ? `; at n rows signals ${few.signals.map(text).join(", ")}; largest nuisance ${text(few.nuisance)}` : "");
    return `<svg viewBox="0 0 390 40" preserveAspectRatio="xMinYMid" role="img" aria-label="${words}"><text x="0" y="24">${label}</text>`
      + `<line x1="60" x2="340" y1="20" y2="20" stroke="currentColor" stroke-width=".7"/>${bar(all.nuisance, 11)}`
      + `${dots(all.signals, 11)}${few ? bar(few.nuisance, 30) + dots(few.signals, 30) : ""}`
      + `<text x="346" y="24">${text(top)}</text></svg>`;
  }

  function draw() {
    waiting = false;
    const complaint = wrong(state);
    $("complaint").textContent = complaint;
    if (complaint) return;
    const now = performance.now(), limit = diagram.boundaries(state);
    const found = state.limited ? diagram.boundariesAtN(state) : limit;
    diagram.paint(found, state);
    const { path } = diagram;
    $("over").innerHTML = path(found.ca, "ca now") + path(found.cp, "cp now")
      + (state.limited ? path(limit.ca, "ca limit") + path(limit.cp, "cp limit") : "") + box(state);
    $("of-what").textContent = state.limited ? `expected at ${state.n} rows` : "with unlimited rows";
    $("legend-n").hidden = !state.limited;
    $("legend-data").hidden = !(data && data.place);
    Object.assign($("star").style, { left: `${100 * Math.min(state.kappa / state.axis, 1)}%`, bottom: `${100 * state.nu}%` });
    const ticks = (id, end, side) => $(id).replaceChildren(...[0, 0.25, 0.5, 0.75, 1].map((share) => {
      const tick = document.createElement("span");
      tick.textContent = text(share * end);
      tick.style[side] = `${100 * share}%`;
      return tick;
    }));
    ticks("axis-x", state.axis, "left");
    ticks("axis-y", 1, "bottom");
    tell(state);
    explorer.milliseconds = performance.now() - now;
    history.replaceState(null, "", "#" + link());
  }

  function redraw() {
    if (!waiting) { waiting = true; requestAnimationFrame(draw); }
  }

  // The link.

  const link = () => Object.entries(state).map(([name, value]) => `${name}=${value}`).join("&");

  /* The state that a link carries; what it does not have, or has wrong, stays as it is. */
  function fromLink(hash) {
    const found = { ...state };
    for (const [name, value] of new URLSearchParams(hash.replace(/^#/, ""))) {
      if (name === "limited") found.limited = value === "true";
      else if (name in FIRST && value !== "" && Number.isFinite(+value)) found[name] = +value;
    }
    const complaint = wrong(found);
    if (!complaint) state = found;
    return complaint;
  }

  // Controls.

  const toSlider = ([, , low, high, log], value) => (!log ? value : value <= Math.max(low, LEAST_LOG) ? 0
    : Math.log(value / Math.max(low, LEAST_LOG)) / Math.log(high / Math.max(low, LEAST_LOG)));
  const fromSlider = ([, , low, high, log, whole], place) => {
    const start = Math.max(low, LEAST_LOG);
    const value = !log ? place : place <= 0 ? low : +(start * (high / start) ** place).toPrecision(3);
    return whole ? Math.round(value) : value;
  };

  function set(changes) {
    state = { ...state, ...changes };
    if (state.axis > 0) $("kappa-slider").max = state.axis;
    for (const slider of SLIDERS) {
      $(`${slider[0]}-slider`).value = toSlider(slider, state[slider[0]]);
      if (document.activeElement !== $(slider[0])) $(slider[0]).value = state[slider[0]];
    }
    $("unlimited").checked = !state.limited;
    redraw();
  }

  for (const slider of SLIDERS) {
    const [name, label, low, high, log, whole] = slider, line = document.createElement("div");
    line.innerHTML = `<label for="${name}">${label}</label><input type="range" id="${name}-slider" aria-label="${label}, slider" `
      + `min="${log ? 0 : low}" max="${log ? 1 : high}" step="${log ? 0.002 : whole ? 1 : 0.01}">`
      + `<input type="number" id="${name}" min="${low}" max="${high}" step="any">`;
    $("controls").append(line);
    $(`${name}-slider`).addEventListener("input", (event) => {
      const changes = { [name]: fromSlider(slider, +event.target.value) };
      if (name === "n") changes.limited = true;
      $("preset").value = "";
      set(changes);
    });
    $(name).addEventListener("input", (event) => {
      const changes = { [name]: event.target.value === "" ? NaN : +event.target.value };
      if (name === "n") changes.limited = true;
      $("preset").value = "";
      set(changes);
    });
  }
  $("controls").addEventListener("submit", (event) => event.preventDefault());
  for (const name of Object.keys(PRESETS)) $("preset").add(new Option(name, name));
  $("preset").addEventListener("change", (event) => {
    if (event.target.value) set({ ...FIRST, ...PRESETS[event.target.value] });
  });
  $("unlimited").addEventListener("change", (event) => set({ limited: !event.target.checked }));
  $("link").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(location.href);
      $("copied").textContent = "copied";
    } catch {
      $("copied").textContent = "the address of this page is the link";
    }
  });

  // Pointing at the diagram, and dragging the star.

  function pointed(event) {
    const area = $("diagram").getBoundingClientRect();
    const share = (value) => Math.min(Math.max(value, 0), 1);
    return { kappa: +(share((event.clientX - area.left) / area.width) * state.axis).toPrecision(3),
      nu: +(1 - share((event.clientY - area.top) / area.height)).toFixed(3) };
  }

  $("diagram").addEventListener("pointermove", (event) => {
    const here = pointed(event);
    if (event.buttons) { $("preset").value = ""; set(here); return; }
    if (wrong(state)) return;
    const m = model(here), all = theory.population(m), few = m.limited ? theory.finite(m) : null;
    const ratios = (found) => `${found.regime}; Δ_CA ${text(found.ca.delta)}, Δ_CP ${text(found.cp.delta)}`;
    $("hover").textContent = `κ ${text(here.kappa)}, ν ${text(here.nu)}: ${ratios(all)}; signals recovered by CA `
      + `${all.ca.count}, by CP ${all.cp.count} of ${m.k}; CA's spectrum ${all.ca.signals.map(text).join(", ")} against `
      + `nuisance ${text(all.ca.nuisance)}${few ? `. At ${m.n} rows: ${ratios(few)}` : ""}`;
  });
  $("diagram").addEventListener("pointerdown", (event) => {
    $("diagram").setPointerCapture(event.pointerId);
    $("preset").value = "";
    set(pointed(event));
  });

  // A diagnosis.

  const estimate = (one) => one && [one.value, one.low, one.high].every(Number.isFinite);

  /* What the page shows of the JSON of a diagnosis; an error in one line for anything else. */
  function readDiagnosis(saved, name) {
    const schema = saved && saved.schema;
    if (!schema || schema.name !== "phasejax.diagnosis") {
      throw new Error(`${name}: expected a result of phasejax diagnose --json, got `
        + (schema && schema.name ? `a ${schema.name}` : "something else"));
    }
    if (schema.version !== 1) throw new Error(`${name}: expected version 1 of phasejax.diagnosis, got ${schema.version}`);
    const fit = saved.method === "content" ? saved.fit : saved.method === "moments" ? saved : null;
    const holds = saved.method === "content" ? saved.unlimited_regime : saved.regime;
    const of = fit && fit.estimates, placed = holds && of && estimate(of.kappa) && estimate(of.nu);
    return { name, verdict: String(saved.verdict || ""), regime: saved.regime, holds: holds || null, fit, n: saved.n,
      seen: saved.seen !== false, method: saved.method, d: [saved.d_x, saved.d_y],
      place: placed ? { kappa: of.kappa, nu: of.nu, of, k: fit.k } : null };
  }

  function show(saved, name) {
    let found;
    try {
      found = readDiagnosis(saved, name);
    } catch (error) {
      say([`${error.message}. What was shown is kept.`]);
      return;
    }
    data = found;
    const lines = [`${found.name}: ${found.verdict}`,
      `Regime at its ${found.n} rows: ${found.regime || "none is stated"}.`];
    if (found.place) {
      const { kappa, nu, of, k } = found.place, value = (one, other) => (estimate(of[one]) ? +of[one].value.toPrecision(6) : other);
      lines.push(`With unlimited rows: ${found.holds}, at κ ${text(kappa.value)} [${text(kappa.low)}, ${text(kappa.high)}] and `
        + `ν ${text(nu.value)} [${text(nu.low)}, ${text(nu.high)}]: the box in the diagram.`);
      if (found.d[0] !== found.d[1]) lines.push(`Its views have ${found.d.join(" and ")} columns; the diagram is that of the smaller number.`);
      if (value("decay", 0) > 0.05) lines.push("Its nuisance falls off over the coordinates, which the diagram does not: the box may lie beside its regime.");
      if (k > 20 || Math.min(...found.d) > 400 || kappa.value > 30) {
        lines.push("Some of its numbers are beyond the sliders, which stand at their ends: ratios at the star are not its own.");
      }
      set({ kappa: Math.min(value("kappa"), 30), nu: value("nu"), decay: 1, gamma_x: value("gamma_x", state.gamma_x),
        gamma_y: value("gamma_y", state.gamma_y), nuisance_x: value("nuisance_x", state.nuisance_x),
        nuisance_y: value("nuisance_y", state.nuisance_y), k: Math.min(k, 20), d: Math.min(Math.max(Math.min(...found.d), k), 400),
        n: found.n, limited: false, axis: Math.min(Math.max(3, Math.ceil(1.5 * kappa.high)), 30) });
    } else {
      lines.push(found.seen ? "It has no place in the diagram: no spiked model describes these data, or none was fitted."
        : "It has no place in the diagram: nothing shared was seen.");
      redraw();
    }
    say(lines);
  }

  const say = (lines) => $("data").replaceChildren(...lines.map((line) => Object.assign(document.createElement("p"),
    { textContent: line })));

  async function open(file) {
    let saved;
    try {
      saved = JSON.parse(await file.text());
    } catch {
      say([`${file.name}: expected JSON, got something else. What was shown is kept.`]);
      return;
    }
    show(saved, file.name);
  }

  $("file").addEventListener("change", (event) => event.target.files[0] && open(event.target.files[0]));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files[0]) open(event.dataTransfer.files[0]);
  });
  window.addEventListener("hashchange", () => { if (!fromLink(location.hash)) set({}); });

  /* For tests, and for whoever looks under the page. */
  const explorer = window.explorer = { get state() { return { ...state }; }, set, draw, tell, show, milliseconds: 0 };

  const complaint = location.hash ? fromLink(location.hash) : "";
  set({});
  draw();
  if (complaint) $("complaint").textContent = `The link is not used: ${complaint}`;
  const embedded = JSON.parse($("result").textContent);
  if (embedded) show(embedded.diagnosis, embedded.name);
})();
