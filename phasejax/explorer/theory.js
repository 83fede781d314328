"use strict";
/* The spiked model of K26 in the browser: what phasejax.theory says of k signals kappa decay^(i-1) and of nuisance that
   is alike in all coordinates. The functions are those of the Python modules _closed_forms, _random_matrix and
   _sample_spectrum, for equal nuisance coordinates, which leaves sums of one term; a test compares them. */

const theory = (() => {
  const EPS = 2 ** -52, COINCIDENT = Math.sqrt(EPS), TIE = 1 + 16 * EPS;
  const TRACY_WIDOM = -1.206533574582;
  const OWN_WEIGHT = (-TRACY_WIDOM / 2) ** 1.5;
  const NEAR = 3;

  const overRoot = (numerator, square) => (square > 0 ? numerator / Math.sqrt(square) : 0);
  const positiveRoot = (square) => (square > 0 ? Math.sqrt(square) : 0);
  const damped = (distance, variance) => {
    const spread = distance ** 2 + NEAR ** 2 * variance;
    return distance / (spread > 0 ? spread : 1);
  };
  const least = (values) => values.reduce((a, b) => Math.min(a, b), Infinity);

  /* Signal strengths; m holds kappa, nu, gamma_x, gamma_y, nuisance_x, nuisance_y, decay, k, d and n. */
  const strengths = (m) => Array.from({ length: m.k }, (_, i) => m.kappa * m.decay ** i);
  const rho = (kappa, m) => overRoot(kappa ** 2, (kappa ** 2 + m.gamma_x) * (kappa ** 2 + m.gamma_y));
  const tau = (kappa, gamma) => overRoot(kappa ** 2, kappa ** 2 + gamma);

  /* Weakest signal over strongest nuisance (Proposition 3.1). */
  const ratio = (weakest, nuisance) => (nuisance > 0 ? (weakest > 0 ? weakest / nuisance : 0)
    : (weakest > 0 ? Infinity : 0));
  const recovered = (signals, nuisance) => signals.filter((one) => one > nuisance * TIE).length;

  const REGIMES = ["Neither", "CA only", "CP only", "Both"];
  const code = (ca, cp) => (ca > TIE ? 1 : 0) + (cp > TIE ? 2 : 0);

  /* Lemma A.3: spectra, ratios and counts with unlimited rows. */
  function population(m) {
    const kappas = strengths(m), nu = m.d > m.k ? m.nu : 0;
    const of = (signals, nuisance) => ({
      signals, nuisance, weakest: least(signals), delta: ratio(least(signals), nuisance),
      count: recovered(signals, nuisance) });
    const found = {
      ca: of(kappas.map((one) => rho(one, m)), nu),
      cp: of(kappas.map((one) => tau(one, m.gamma_x)), nu * Math.sqrt(m.nuisance_y)),
      cp_reverse: of(kappas.map((one) => tau(one, m.gamma_y)), nu * Math.sqrt(m.nuisance_x)) };
    return Object.assign(found, { regime: REGIMES[code(found.ca.delta, found.cp.delta)] });
  }

  function bisect(rising, low, high) {
    for (let i = 0; i < 50; i++) {
      const middle = (low + high) / 2;
      if (rising(middle) > 0) high = middle; else low = middle;
    }
    return (low + high) / 2;
  }

  function newton(residual, start) {
    let x = start;
    for (let i = 0; i < 30; i++) {
      const [value, slope] = residual(x), next = x - value / slope;
      if (next === x) break;
      x = next;
    }
    return x;
  }

  /* The slope of a smooth function at a place, relative step h. */
  const slopeAt = (f, x, h) => (f(x + h) - f(x - h)) / (2 * h);

  // Canonical correlations that n rows are expected to show: `canonical_spectrum`.

  function canonicalValue(missing, s, c) {
    const w = (1 - c) / (1 + s), rest = 1 - missing * w, weighted = 2 * w / rest;
    return { value: rest * rest / (1 - missing), byMissing: 1 / (1 - missing) - weighted,
      byS: missing * weighted / (1 + s), byC: 2 * missing / (1 + s) / rest };
  }

  /* The edge of the bulk of p coordinates that count as `weight` ones; it does not depend on the signals. */
  function canonicalEdge(nu, weight, n) {
    const c = weight / n, atoms = weight * nu ** 2 / n, gap = 1 - nu ** 2 * (1 - 4 * EPS);
    const at = (t) => {
      const missing = gap * (1 - t), s = atoms * (1 - t) / t, found = canonicalValue(missing, s, c);
      return Object.assign(found, { missing, slope: found.byS / missing * (1 - t) * (-atoms / t ** 2) - found.byMissing });
    };
    const t = bisect((one) => at(one).slope, 0, 1), here = at(t);
    const density = 1 / (1 - t) ** 2 - atoms / t ** 2;
    const bend = slopeAt((one) => at(one).slope, t, 1e-5 * Math.min(t, 1 - t));
    const scale = n * density * Math.sqrt(2 / (here.value ** 3 * bend));
    return { edge: here.value, shift: TRACY_WIDOM * gap * scale ** (-2 / 3), threshold: 1 - gap * (1 - t),
      missing: here.missing, byS: here.byS, byC: here.byC };
  }

  function canonical(m, edges) {
    const n = m.n, p = m.d - m.k, nu = m.nu, rhos = strengths(m).map((one) => rho(one, m)), others = (m.k - 1) / n;
    let edge = 0, largest = 0, threshold = -1;
    if (p > 0) {
      const [full, own] = edges || [p, p - 1 + OWN_WEIGHT].map((weight) => canonicalEdge(nu, weight, n));
      edge = full.edge;
      threshold = Math.sqrt(full.threshold);
      const poles = rhos.reduce((sum, r) => sum + r ** 2 * damped(1 - own.missing - r ** 2,
        4 * r ** 2 * (1 - r ** 2) ** 2 / n), 0);
      const push = own.edge * (own.byS * own.missing * poles + own.byC * m.k) / n;
      largest = Math.max(own.edge + push + own.shift, 2 / (Math.PI * n));
    }
    const signals = rhos.map((r) => {
      const gap = (r - nu) * (r + nu), usable = r > 0 && (p === 0 || Math.abs(gap) > COINCIDENT);
      const missing = usable ? 1 - r ** 2 : 0.5, apart = usable ? gap : 1;
      const s = p * nu ** 2 * missing / apart / n - others * missing;
      const sSlope = p * nu ** 2 * (1 - nu ** 2) / apart ** 2 / n - others;
      const c = p / n + others, { value, byMissing, byS } = canonicalValue(missing, s, c);
      const slope = -value * (byMissing + byS * sSlope);
      const outlier = usable && slope > 0 && 1 + s > 0 && 1 + s > missing * (1 - c);
      return { population: r, level: value, outlier, visible: outlier && r > threshold, threshold,
        variance: slope * value * byS * r ** 2 * missing / n };
    });
    return assemble(signals, p > 0 ? nu : 0, edge, largest);
  }

  // Singular values of A = S_yx S_xx^{-1/2} that n rows are expected to show: `regression_spectrum`.

  function curve(phi, sigma, a, weight, c, n) {
    const inverse = 1 / (sigma - phi - a), kept = 1 / (1 + phi), w = weight / n;
    const value = w * inverse + kept;
    return { residual: 1 - c - w * a * inverse - kept, level: sigma * value,
      slopes: [kept ** 2 - w * a * inverse ** 2, w * a * inverse ** 2],
      valueSlopes: [sigma * (w * inverse ** 2 - kept ** 2), value - sigma * w * inverse ** 2] };
  }

  function along(b, { slopes, valueSlopes }) {
    const byPhi = slopes[0] + b * slopes[1], phi = -slopes[1] / byPhi;
    return { phi, byPhi, slope: valueSlopes[1] + (valueSlopes[0] + b * valueSlopes[1]) * phi };
  }

  /* Of p coordinates with a = nu^2 and b = 1, in units of their variance; phi has a closed form where all b are equal. */
  function regressionEdge(a, weight, n) {
    const c = weight / n;
    const at = (place) => {
      const kept = 1 - c - weight * a / (n * place), phi = 1 / kept - 1;
      return { phi: kept > 0 ? phi : -1, sigma: a + place + phi };
    };
    const slope = (place) => {
      const { phi, sigma } = at(place);
      return phi > 0 && phi < 1e8 ? along(1, curve(phi, sigma, a, weight, c, n)).slope : -1;
    };
    const place = Math.exp(bisect((log) => slope(Math.exp(log)), -25, 15 - Math.log(1 - c)));
    const { phi, sigma } = at(place), here = curve(phi, sigma, a, weight, c, n), way = along(1, here);
    const bend = slopeAt(slope, place, 1e-5 * place);
    const scale = n * (phi - way.phi * (sigma - phi)) / sigma ** 2 * Math.sqrt(2 / bend);
    return { edge: here.level, phi, sigma, shift: TRACY_WIDOM * scale ** (-2 / 3),
      bySum: (here.valueSlopes[0] + here.valueSlopes[1]) / way.byPhi };
  }

  /* Predicting y from x; `backwards` exchanges the views. */
  function regression(m, backwards, edges) {
    const [gammaSource, gammaTarget, nuisance] = backwards ? [m.gamma_y, m.gamma_x, m.nuisance_x]
      : [m.gamma_x, m.gamma_y, m.nuisance_y];
    const n = m.n, p = m.d - m.k, kappas = strengths(m), unit = nuisance > 0 && p > 0 ? nuisance : 1;
    const a0 = nuisance > 0 ? m.nu ** 2 : 0;
    const places = kappas.map((one) => [tau(one, gammaSource) ** 2 / unit, (one ** 2 + gammaTarget) / unit]);
    let edge = 0, largest = 0, place = 0, threshold = () => -1;
    if (p > 0) {
      const [full, own] = edges || [p, p - 1 + OWN_WEIGHT].map((weight) => regressionEdge(a0, weight, n));
      let [byA, byB] = [m.k, 0];
      for (const [a, b] of places) {
        const pole = damped(own.sigma - b * own.phi - a, 2 * a * (2 * b - a) / n);
        byA += a * pole;
        byB += b * pole;
      }
      const top = nuisance > 0 ? unit : 0;
      edge = top * full.edge;
      largest = top * Math.max(own.edge + (own.bySum * byA + own.sigma * byB) / n + own.shift, 2 / (Math.PI * n));
      place = full.sigma - full.phi;
      threshold = (b) => positiveRoot(unit * (full.sigma - b * full.phi));
    }
    const c = p / n;
    const signals = places.map(([a, b], i) => {
      const usable = a > 0 && (p === 0 || Math.abs(a - a0) + Math.abs(b - 1) > COINCIDENT * (a + b));
      const [signal, variance] = usable ? [a, b] : [2, 2];
      const at = (phi) => curve(phi, signal + variance * phi, a0, p, c, n);
      const residual = (phi) => {
        const found = at(phi);
        return [found.residual, found.slopes[0] + variance * found.slopes[1]];
      };
      let phi = newton(residual, c / (1 - c));
      const solved = Math.abs(residual(phi)[0]) < COINCIDENT;
      phi = solved ? phi : c / (1 - c);
      const sigma = signal + variance * phi, here = at(phi), way = along(variance, here);
      const outlier = usable && solved && way.byPhi > 0 && way.slope > 0 && sigma > 0 && phi > -1;
      const own = p === 0 || sigma - phi > a0 ? sigma - (p === 0 ? 0 : phi) : -1;
      const noise = way.slope * ((here.valueSlopes[0] + variance * here.valueSlopes[1]) / way.byPhi * signal
        + sigma * variance) / n;
      return { population: tau(kappas[i], gammaSource), level: unit * here.level, outlier,
        visible: outlier && own > place, threshold: threshold(b), variance: unit ** 2 * noise };
    });
    return assemble(signals, p > 0 ? m.nu * Math.sqrt(nuisance) : 0, edge, largest);
  }

  // What is read from a curve as a spectrum: `SampleSpectrum.assemble`.

  function assemble(read, strongest, squaredEdge, largest) {
    const edge = positiveRoot(squaredEdge);
    const signals = read.map((one) => {
      if (one.outlier) return positiveRoot(one.level);
      const span = one.threshold - strongest;
      const share = Math.min(Math.max((one.population - strongest) / (span > 0 ? span : 1), 0), 1);
      return Math.min(Math.min(one.population, strongest) + share * (edge - strongest), edge);
    });
    const noise = read.map((one) => (one.outlier && one.level > 0 ? one.variance / (4 * one.level) : 0));
    const weakest = smallestOfCluster(signals, noise), nuisance = positiveRoot(largest);
    return { signals, weakest, nuisance, edge, delta: ratio(weakest, nuisance),
      count: read.filter((one) => one.visible).length };
  }

  function smallestOfCluster(levels, variance) {
    const smallest = least(levels), ties = levels.filter((one) => one === smallest).length;
    const own = levels.map((one) => (one === smallest ? 1 / ties : 0));
    const square = own.reduce((sum, one, i) => sum + one * variance[i], 0);
    if (!(square > 0)) return Math.max(smallest, 0);
    const sd = Math.sqrt(square);
    const apart = levels.map((one) => (one - smallest) * (one + smallest) / (2 * (smallest > 0 ? smallest : 1) * sd));
    const weights = own.map((one) => 1 - (1 - OWN_WEIGHT) * one);
    const sum = (v, power) => weights.reduce((total, w, i) => total + w / (v + apart[i]) ** power, 0);
    const v = newton((one) => [sum(one, 2) - 1, -2 * sum(one, 3)], Math.sqrt(OWN_WEIGHT));
    const expected = -v - sum(v, 1) - TRACY_WIDOM * Math.cbrt(sum(v, 3));
    return Math.max(smallest + sd * expected, 0);
  }

  /* Spectra, ratios and counts that n rows are expected to show; null where there are too few rows for any. */
  function finite(m, edges = {}) {
    if (!(m.n > 2 * m.d)) return null;
    const found = { ca: canonical(m, edges.ca), cp: regression(m, false, edges.cp),
      cp_reverse: regression(m, true, edges.cp) };
    return Object.assign(found, { regime: REGIMES[code(found.ca.delta, found.cp.delta)] });
  }

  /* The parts of `finite` that depend on nu alone, for all strengths of the signals. */
  function edgesAt(nu, m) {
    const weights = [m.d - m.k, m.d - m.k - 1 + OWN_WEIGHT];
    return { ca: weights.map((weight) => canonicalEdge(nu, weight, m.n)),
      cp: weights.map((weight) => regressionEdge(m.nuisance_y > 0 ? nu ** 2 : 0, weight, m.n)) };
  }

  return { population, finite, edgesAt, canonical, regression, strengths, rho, tau, REGIMES };
})();
if (typeof module !== "undefined") module.exports = theory;
