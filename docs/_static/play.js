// Figures with sliders. The page holds each figure at its first setting, drawn while building
// (docs/_figures/play.py); this script draws the series anew when a slider moves. A function below
// takes the settings and gives points for the series, by name, and the numbers of the sentence.
// tests/test_site.py holds them against the course's own Python code.
"use strict";

const range = (n, f) => Array.from({ length: n }, (_, i) => f(i));
const sum = (xs) => xs.reduce((a, b) => a + b, 0);

const figures = {
  // weights of the surprises δ, (γλ)^l, and of the estimates A⁽ᵏ⁾, (1 − λ) λ^(k − 1)
  gae({ lam, gamma }) {
    return {
      series: {
        deltas: range(31, (l) => [l, (gamma * lam) ** l]),
        estimates: range(30, (i) => [i + 1, (1 - lam) * lam ** i]),
      },
      facts: { total: 1 / (1 - gamma * lam), tenth: (gamma * lam) ** 10, rest: 100 * lam ** 30 },
    };
  },

  // J = min(w Â, clip(w, 1 − ε, 1 + ε) Â)
  "ppo-clip"({ clip, adv, w }) {
    const clipped = (w) => Math.min(Math.max(w, 1 - clip), 1 + clip) * adv;
    const J = (w) => Math.min(w * adv, clipped(w));
    return {
      series: {
        plain: [[0, 0], [2, 2 * adv]],
        clipped: range(100, (i) => [(i + 1) / 50, J((i + 1) / 50)]),
        here: [[w, J(w)]],
        up: [[1 + clip, 0], [1 + clip, 2], [2, 2], [2, 0]],
        down: [[0, 0], [0, -2], [1 - clip, -2], [1 - clip, 0]],
        there: [[w, adv]],
      },
      facts: { value: J(w), slope: w * adv <= clipped(w) + 1e-12 ? adv : 0 },
    };
  },

  // log π(a) = log N(u; μ, σ) − log(1 − tanh² u), a = tanh u
  "tanh-gaussian"({ mu, sigma, u }) {
    const logN = (u) =>
      -0.5 * ((u - mu) / sigma) ** 2 - Math.log(sigma) - 0.5 * Math.log(2 * Math.PI);
    const softplus = (z) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));
    const logPi = (u) => logN(u) - 2 * (Math.log(2) - u - softplus(-2 * u));
    const us = range(401, (i) => -4 + i / 50);
    const wide = range(401, (i) => mu + sigma * (-8 + i / 25));
    return {
      series: {
        normal: us.map((u) => [u, Math.exp(logN(u))]),
        before: [[u, Math.exp(logN(u))]],
        squashed: us.map((u) => [Math.tanh(u), Math.exp(logPi(u))]),
        after: [[Math.tanh(u), Math.exp(logPi(u))]],
      },
      facts: {
        a: Math.tanh(u),
        logn: logN(u),
        logp: logPi(u),
        mode: Math.tanh(mu),
        entropy: -sum(wide.map((u) => Math.exp(logN(u)) * logPi(u))) * (sigma / 25),
      },
    };
  },

  // every mean that drawing n of n seeds with replacement can give, and how often
  bootstrap({ n, which }, samples) {
    const ends = samples.map((s) => interval(resampled(s.slice(0, n))));
    const means = resampled(samples[which - 1].slice(0, n));
    const shares = new Array(30).fill(0);
    for (const [mean, chance] of means) {
      shares[Math.min(Math.max(Math.floor((mean + 3) / 0.2 + 1e-9), 0), 29)] += chance;
    }
    const [low, high] = ends[which - 1];
    const within = ([low, high]) => low <= 0 && 0 <= high;
    const lines = (good) =>
      ends.flatMap((e, i) => (within(e) === good ? e.map((end) => [i + 1, end]) : []));
    return {
      series: {
        resamples: shares.map((share, i) => [-2.9 + 0.2 * i, share]),
        interval: [[low, 0.56], [high, 0.56]],
        seeds: samples[which - 1].slice(0, n).map((x) => [x, 0.51]),
        good: lines(true),
        bad: lines(false),
        this: [[which, -2.9]],
      },
      facts: {
        mean: sum(samples[which - 1].slice(0, n)) / n,
        low,
        high,
        verdict: within([low, high]) ? "contains" : "misses",
        hits: ends.filter(within).length,
      },
    };
  },

  // δ = r + γ (1 − d) V(s′) − V(s), and A from the back; the episode ends after step 2
  "time-limit"({ gamma, lam, after, cut }) {
    const rew = [1, 0, 2], val = [2, 1, 3], next = [1, 3, after], term = [0, 0, 1 - cut];
    const adv = [0, 0, 0];
    for (let t = 2, carry = 0; t >= 0; t--) {
      const delta = rew[t] + gamma * (1 - term[t]) * next[t] - val[t];
      adv[t] = carry = delta + gamma * lam * carry;
    }
    const ret = adv.map((a, t) => a + val[t]);
    const facts = {};
    adv.forEach((a, t) => Object.assign(facts, { ["a" + t]: a, ["r" + t]: ret[t] }));
    return {
      series: { returns: ret.map((x, t) => [t, x]), advantages: adv.map((x, t) => [t, x]) },
      facts,
    };
  },
};

// [mean, probability] of all resamples of a sample, in ascending order
function resampled(sample) {
  const n = sample.length, factorial = [1], found = [];
  for (let i = 1; i <= n; i++) factorial.push(factorial[i - 1] * i);
  (function choose(i, left, total, ways) {  // how often is the i-th drawn?
    if (i === n - 1) {
      found.push([(total + left * sample[i]) / n, ways / factorial[left] / n ** n]);
      return;
    }
    for (let k = 0; k <= left; k++) choose(i + 1, left - k, total + k * sample[i], ways / factorial[k]);
  })(0, n, 0, factorial[n]);
  return found.sort((a, b) => a[0] - b[0]);
}

// the middle 95 % of them
function interval(means) {
  const ends = [];
  let below = 0;
  for (const [mean, chance] of means) {
    below += chance;
    if (!ends.length && below >= 0.025 - 1e-12) ends.push(mean);
    if (below >= 0.975 - 1e-12) return [ends[0], mean];
  }
}

// the `d` of a path, as Panel.shape in docs/_figures/panel.py has it
function shape(path, points) {
  const axes = path.ownerSVGElement.ownerSVGElement.dataset;
  const [x0, x1, left, right] = axes.x.split(" ").map(Number);
  const [y0, y1, bottom, top] = axes.y.split(" ").map(Number);
  const high = (y) =>
    Math.min(Math.max(bottom - ((y - y0) / (y1 - y0)) * (bottom - top), top - 12), bottom + 12);
  const pixels = points.map(([x, y]) => [left + ((x - x0) / (x1 - x0)) * (right - left), high(y)]);
  const at = (...xs) => xs.map((x) => x.toFixed(1)).join(" ");
  const [kind, wide] = path.dataset.kind.split("-");
  if (kind === "dots") {
    return pixels.map(([x, y]) => `M${at(x - 3.5, y)}a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0`).join("");
  }
  if (kind === "bars") {
    const foot = high(Number(path.dataset.base)).toFixed(1);
    return pixels.map(([x, y]) => `M${at(x - wide / 2)} ${foot}V${at(y)}h${wide}V${foot}z`).join("");
  }
  if (kind === "whiskers") {
    return pixels.map((p, i) => (i % 2 ? "L" : "M") + at(...p)).join("");
  }
  return pixels.length ? "M" + pixels.map((p) => at(...p)).join("L") + (kind === "area" ? "z" : "") : "";
}

function start(figure) {
  const form = figure.querySelector("form");
  const more = figure.dataset.more && JSON.parse(figure.dataset.more);
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", () => {
    const settings = {};
    for (const knob of form.querySelectorAll("input")) {
      settings[knob.name] = knob.type === "checkbox" ? Number(knob.checked) : Number(knob.value);
      const shown = form.querySelector(`output[for="${knob.id}"]`);
      if (shown) shown.textContent = Number(knob.value).toFixed(shown.dataset.digits);
    }
    const { series, facts } = figures[figure.dataset.play](settings, more);
    for (const path of figure.querySelectorAll("[data-series]")) {
      path.setAttribute("d", shape(path, series[path.dataset.series]));
    }
    for (const place of figure.querySelectorAll("[data-fact]")) {
      const value = facts[place.dataset.fact], digits = place.dataset.digits;
      place.textContent = digits ? value.toFixed(digits).replace("-", "−") : value;
    }
  });
}

document.querySelectorAll("[data-play]").forEach(start);
