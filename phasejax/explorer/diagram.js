"use strict";
/* The phase diagram: where the ratios cross 1 in each column of cells, and how that is painted. */

const diagram = (() => {
  const $ = (id) => document.getElementById(id);
  const CELLS = 200;
  const COLOURS = [...document.querySelectorAll(".patch")].map((one) => one.style.backgroundColor);

  /* The largest nu at which an objective recovers all signals, for each column; with unlimited rows. */
  function boundaries(m) {
    const share = m.decay ** (m.k - 1), found = { ca: [], cp: [] };
    for (let j = 0; j < CELLS; j++) {
      const weakest = axisAt(j, m) * share, none = m.d === m.k;
      found.ca.push(weakest <= 0 ? -1 : none ? 2 : theory.rho(weakest, m));
      found.cp.push(weakest <= 0 ? -1 : none || m.nuisance_y === 0 ? 2
        : theory.tau(weakest, m.gamma_x) / Math.sqrt(m.nuisance_y));
    }
    return found;
  }

  /* The same at n rows: between two lines of cells the logarithm of the ratio is taken to be straight. */
  function boundariesAtN(m) {
    if (m.d === m.k) return boundaries(m);
    const rows = Array.from({ length: CELLS + 1 }, () => null), found = { ca: [], cp: [] };
    const edges = (i) => (rows[i] = rows[i] || theory.edgesAt(i / CELLS, m));
    for (const name of ["ca", "cp"]) {
      let row = 0; // where the boundary was in the column before
      for (let j = 0; j < CELLS; j++) {
        const values = new Map();
        const above = (i) => {
          if (!values.has(i)) {
            const at = { ...m, kappa: axisAt(j, m), nu: i / CELLS };
            values.set(i, Math.log((name === "ca" ? theory.canonical(at, edges(i).ca)
              : theory.regression(at, false, edges(i).cp)).delta));
          }
          return values.get(i);
        };
        // Away from the last row in growing steps until the boundary lies between two, then halving.
        let low = row, high = row, step = 1;
        while (high < CELLS && above(high) > 0) [low, high, step] = [high, Math.min(high + step, CELLS), 2 * step];
        while (low > 0 && !(above(low) > 0)) [low, high, step] = [Math.max(low - step, 0), low, 2 * step];
        if (!(above(low) > 0)) { found[name].push(-1); row = 0; continue; }
        if (above(high) > 0) { found[name].push(2); row = CELLS; continue; }
        while (high - low > 1) {
          const middle = (low + high) >> 1;
          if (above(middle) > 0) low = middle; else high = middle;
        }
        const last = above(high);
        found[name].push((low + (last > -50 ? above(low) / (above(low) - last) : 0)) / CELLS);
        row = low;
      }
    }
    return found;
  }

  const axisAt = (j, m) => (j + 0.5) / CELLS * m.axis;
  const context = $("plane").getContext("2d", { alpha: false });
  const image = context.createImageData(CELLS, CELLS);
  const pixels = new Uint32Array(image.data.buffer);
  const packed = COLOURS.map((colour) => {
    const [r, g, b] = colour.match(/\d+/g).map(Number);
    return (255 << 24 | b << 16 | g << 8 | r) >>> 0;
  });

  function paint(found, m) {
    const places = [[0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]];
    for (let i = 0; i < CELLS; i++) {
      const nu = (CELLS - i - 0.5) / CELLS;
      for (let j = 0; j < CELLS; j++) {
        const code = (found.ca[j] > nu ? 1 : 0) + (found.cp[j] > nu ? 2 : 0);
        pixels[i * CELLS + j] = packed[code];
        const place = places[code];
        place[0] += j; place[1] += nu; place[2] += 1;
      }
    }
    context.putImageData(image, 0, 0);
    // A name stands at the middle of its area, where that is in the area and large enough.
    $("names").replaceChildren(...places.flatMap(([sum, nus, count], code) => {
      if (count < 0.03 * CELLS ** 2) return [];
      const j = Math.round(sum / count), nu = nus / count;
      if ((found.ca[j] > nu ? 1 : 0) + (found.cp[j] > nu ? 2 : 0) !== code) return [];
      const name = document.createElement("span");
      Object.assign(name, { textContent: theory.REGIMES[code], className: code === 3 ? "both" : "" });
      const near = Math.abs(j / CELLS - m.kappa / m.axis) < 0.15 && Math.abs(nu - m.nu) < 0.08;
      Object.assign(name.style, { left: `${100 * (j + 0.5) / CELLS}%`, bottom: `${100 * (nu + (near ? 0.1 : 0))}%` });
      return [name];
    }));
  }

  /* A boundary as a path in percent of the plane, within it. */
  function path(values, kind) {
    const parts = [];
    values.forEach((nu, j) => {
      if (nu < 0 || nu > 1) return;
      const joined = j > 0 && values[j - 1] >= 0 && values[j - 1] <= 1;
      if (j > 0 && values[j - 1] < 0) parts.push(`M${(100 * j / CELLS).toFixed(2)} 100L${(100 * j / CELLS).toFixed(2)} ${(100 * (1 - nu)).toFixed(2)}`);
      parts.push(`${joined || parts.length && values[j - 1] < 0 ? "L" : "M"}${(100 * (j + 0.5) / CELLS).toFixed(2)} ${(100 * (1 - nu)).toFixed(2)}`);
    });
    return `<path class="${kind}" d="${parts.join("")}"/>`;
  }

  return { boundaries, boundariesAtN, paint, path };
})();
