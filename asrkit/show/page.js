"use strict";
(() => {
  const page = JSON.parse(document.getElementById("data").textContent);
  const systems = page.systems;
  const both = systems.length > 1;
  const SIDES = ["", "b"]; // classes of the first and the second system
  const get = (id) => document.getElementById(id);

  // ---- Elements. Texts become text nodes only: what the data holds is never markup.

  const build = (node, attributes, children) => {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("--")) node.style.setProperty(name, value);
      else if (name === "style") Object.assign(node.style, value);
      else if (typeof value === "function") node.addEventListener(name, value);
      else node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.flat().filter((child) => child !== null && child !== undefined));
    return node;
  };
  const el = (tag, attributes, ...children) => build(document.createElement(tag), attributes, children);
  const svg = (tag, attributes, ...children) =>
    build(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

  const fixed = (value, digits = 2) => (value === null || value === undefined ? "–" : value.toFixed(digits));
  const percent = (errors, length) => (length ? `${fixed((100 * errors) / length)} %` : errors ? "∞" : "0.00 %");
  const counted = (errors) => `${errors} error${errors === 1 ? "" : "s"}`;
  const interval = (ends) => (ends ? `[${fixed(ends[0])}, ${fixed(ends[1])}]` : "–");
  const isBound = (record) => record.role === "bound";
  const rateName = { word: "WER", character: "CER", unit: "UER" };

  // ---- Results

  const drawHeader = () => {
    get("title").textContent = page.title;
    if (both) get("kind").textContent = "Two speech recognition experiments";
    for (const name of new Set(systems.flatMap((system) => system.facts.map((fact) => fact[0])))) {
      const values = systems.map((system) => (system.facts.find((fact) => fact[0] === name) || [])[1] || "–");
      get("facts").append(el("div", {}, el("dt", {}, name), el("dd", {}, [...new Set(values)].join(" | "))));
    }
  };

  const drawResults = () => {
    const rows = systems.flatMap((system, side) => system.results.map((record) => ({ system, side, record })));
    for (const { system, side, record } of rows) {
      if (record.role !== "test" || record.method !== system.method) continue;
      const figure = el("div", { class: "figure" },
        el("b", {}, `${fixed(record.rate)} %`),
        el("span", {}, `${both ? `${system.label}: ` : ""}${rateName[record.unit]} of ${record.set}, ${100 * record.confidence} % interval ${interval(record.interval)}`),
        el("span", {}, `${counted(record.errors)} in ${record.reference} ${record.unit}s, method ${record.method}`));
      figure.dataset.side = side;
      get("headline").append(figure);
    }
    for (const { name, difference } of page.sets) {
      if (!difference) continue;
      get("headline").append(el("div", { class: "figure" },
        el("b", {}, `${difference.rate > 0 ? "+" : difference.rate < 0 ? "−" : ""}${fixed(Math.abs(difference.rate))} %`),
        el("span", {}, `${page.labels[1]} − ${page.labels[0]} on ${name}, ${100 * systems[0].results[0].confidence} % interval ${interval(difference.interval)}, p = ${difference.p_value.toPrecision(2)}`),
        el("span", {}, `${page.labels[0]} better in ${difference.better[0]} utterances, ${page.labels[1]} in ${difference.better[1]}`)));
    }
    const highest = Math.max(1, ...rows.map(({ record }) => record.interval[1]));
    const heads = ["set", "method", page.rate, "", "95 % interval", "by speaker", "S", "D", "I", "RTF", "fallbacks"];
    if (both) heads.unshift("experiment");
    const numeric = new Set(["S", "D", "I", "RTF", page.rate]);
    const body = rows.map(({ system, side, record }) => {
      const fallbacks = Object.values(record.fallbacks || {}).reduce((sum, count) => sum + count, 0);
      const cells = [
        record.role === "dev" && record.set !== "dev" ? `${record.set} (dev)` : record.set,
        isBound(record) ? `${record.method} (bound)` : record.method,
        `${record.errors}/${record.reference} = ${fixed(record.rate)} %`,
        whisker(record, highest, SIDES[side]),
        interval(record.interval),
        interval(record.interval_by_speaker),
        record.substitutions, record.deletions, record.insertions,
        record.rtf === null ? "–" : record.rtf.toPrecision(2),
        fallbacks || "0",
      ];
      if (both) cells.unshift(system.label);
      const kind = isBound(record) ? "bound" : record.method === system.method ? "chosen" : null;
      return el("tr", { class: kind }, cells.map((cell, at) =>
        el("td", { class: numeric.has(heads[at]) ? "number" : null }, typeof cell === "number" ? String(cell) : cell)));
    });
    get("result-table").append(el("table", { class: both ? "two" : null },
      el("thead", {}, el("tr", {}, heads.map((head) => el("th", { class: numeric.has(head) ? "number" : null, scope: "col" }, head)))),
      el("tbody", {}, body)));
    const confidence = systems[0].results[0].confidence;
    const chosen = systems.map((system) => (both ? `${system.label}: ${system.method}` : system.method)).join(", ");
    const partial = systems[0].results[0].partial;
    const seen = systems.flatMap((system) => system.results).filter((record) => record.in_training_data)
      .map((record) => `${record.in_training_data} of ${record.set}`);
    get("result-note").textContent =
      `The method with the lowest error rate on dev (${chosen}) is first. Intervals: bootstrap over utterances, and over speakers, ${100 * confidence} %.` +
      `${both ? " Of the difference: paired bootstrap, matched-pairs test." : ""}` +
      ` A bound is chosen with the reference known, so it is no result.${partial ? ` Partial corpus: ${partial}.` : ""}` +
      `${seen.length ? ` Training data of the model or its initial model: ${[...new Set(seen)].join(", ")}; these rates are too optimistic.` : ""}`;
  };

  const whisker = (record, highest, side) => {
    const x = (value) => 4 + (112 * value) / highest;
    return svg("svg", { width: 120, height: 14, role: "img", "aria-label": `interval ${interval(record.interval)}` },
      svg("line", { x1: 4, x2: 116, y1: 7, y2: 7, class: "grid" }),
      svg("line", { x1: x(record.interval[0]), x2: x(record.interval[1]), y1: 7, y2: 7, class: `whisker ${side}` }),
      svg("circle", { cx: x(record.rate), cy: 7, r: 3, class: `dot ${side}` }));
  };

  // ---- Learning curves

  const PANELS = [
    ["Loss per frame", ["train_loss", "loss"], ["train", "dev"]],
    ["Dev WER, greedy, in %", ["dev_wer"], ["dev"]],
    ["Learning rate", ["learning_rate"], [""]],
    ["Largest gradient norm", ["gradient_norm"], [""]],
    ["Share of blank", ["blank_share"], [""]],
    ["Attention decoder's loss per token", ["decoder_loss"], ["dev"]],
  ];

  const drawCurves = () => {
    for (const [title, columns, names] of PANELS) {
      const series = systems.flatMap((system, side) => columns.map((column, at) => ({
        name: [both ? system.label : "", names[at]].filter(Boolean).join(" "),
        side: SIDES[side],
        dashed: columns.length > 1 && at === 0,
        points: system.curves.filter((row) => typeof row[column] === "number").map((row) => [row.epoch, row[column]]),
      }))).filter((each) => each.points.length);
      if (series.length) get("curves").append(lineChart(title, series));
    }
    if (!get("curves").firstChild) get("curves").append(el("p", { class: "note" }, "There is no log of the training."));
  };

  const niceTop = (value) => {
    const power = 10 ** Math.floor(Math.log10(value || 1));
    return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((step) => step * power >= value * 0.999) * power;
  };

  const lineChart = (title, series) => {
    const [width, height, left, bottom] = [320, 170, 44, 22];
    const all = series.flatMap((each) => each.points);
    const top = niceTop(Math.max(...all.map((point) => point[1])));
    const first = Math.min(...all.map((point) => point[0]));
    const last = Math.max(...all.map((point) => point[0]));
    const x = (value) => left + (width - left - 8) * (last > first ? (value - first) / (last - first) : 0.5);
    const y = (value) => 8 + (height - bottom - 8) * (1 - value / top);
    const ticks = [0, 0.5, 1].map((part) => part * top);
    const label = (value) => (value === 0 ? "0" : value < 0.001 ? value.toExponential(0) : String(Number(value.toPrecision(3))));
    const chart = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${title}; last: ${series.map((each) => `${each.name} ${label(each.points[each.points.length - 1][1])}`).join(", ")}` },
      ticks.map((tick) => [
        svg("line", { x1: left, x2: width - 8, y1: y(tick), y2: y(tick), class: "grid" }),
        svg("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, label(tick)),
      ]).flat(),
      [...new Set([first, last])].map((epoch) => svg("text", { x: x(epoch), y: height - 4, "text-anchor": last === first ? "middle" : epoch === first ? "start" : "end" }, `epoch ${epoch}`)),
      series.map((each) => {
        const path = each.points.map(([epoch, value], at) => `${at ? "L" : "M"}${x(epoch).toFixed(1)} ${y(value).toFixed(1)}`).join("");
        const dots = each.points.length < 3 ? each.points : each.points.slice(-1);
        return [
          svg("path", { d: path, class: `series ${each.side} ${each.dashed ? "dashed" : ""}` }),
          ...dots.map(([epoch, value]) => svg("circle", { cx: x(epoch), cy: y(value), r: 3, class: `dot ${each.side}` })),
        ];
      }).flat());
    const legend = series.length > 1 && el("p", { class: "legend note" }, series.map((each) =>
      el("span", {}, el("i", { class: `${each.side} ${each.dashed ? "dashed" : ""}` }), each.name)));
    return el("figure", {}, el("figcaption", {}, title), chart, legend || null);
  };

  // ---- Robustness

  const drawRobustness = () => {
    for (const system of systems) {
      for (const { set, method, rate, picture, rows } of system.robustness) {
        const title = `${both ? `${system.label}: ` : ""}${set}, ${method}`;
        get("robustness-part").hidden = get("robustness-link").hidden = false;
        get("robustness").append(
          el("figure", {}, el("figcaption", {}, title), el("img", { src: picture, alt: `${rate} against signal-to-noise ratio: ${title}` })),
          el("div", { class: "wide", tabindex: 0, role: "region", "aria-label": `Conditions: ${title}` }, el("table", {},
            el("thead", {}, el("tr", {}, ["condition", rate, "95 % interval"].map((head) => el("th", { scope: "col" }, head)))),
            el("tbody", {}, rows.map((row) => el("tr", {},
              el("td", {}, row.condition), el("td", { class: "number" }, `${row.errors}/${row.reference} = ${fixed(row.rate)} %`), el("td", {}, interval(row.interval))))))));
      }
    }
  };

  // ---- Scales tried on dev

  const drawSweeps = () => {
    const sweeps = systems.flatMap((system) => system.sweeps.methods.map((method) => ({ system, ...method })));
    get("scales").hidden = !sweeps.some((sweep) => sweep.tried.length) && !systems.some((system) => system.beams.length);
    get("scales-note").textContent =
      `Errors on ${systems[0].sweeps.set}${systems[0].sweeps.words ? ` (${systems[0].sweeps.words} words)` : ""} for each combination. The stronger the colour, the fewer; the framed one was chosen.`;
    for (const sweep of sweeps) if (sweep.tried.length) get("sweeps").append(heatMap(sweep));
    for (const system of systems) if (system.beams.length) get("sweeps").append(beamTable(system));
  };

  const beamTable = ({ label, beams }) => el("figure", {},
    el("figcaption", {}, `${both ? `${label}: ` : ""}search beam`),
    el("table", { class: "beams" },
      el("caption", {}, "RTF: of the search alone, one thread; bold: the experiment's beam"),
      el("thead", {}, el("tr", {}, ["beam", page.rate, "RTF"].map((head) => el("th", { scope: "col", class: "number" }, head)))),
      el("tbody", {}, beams.map(({ beam, errors, reference, rtf, chosen }) => el("tr", { class: chosen ? "best" : null },
        [String(beam), `${errors}/${reference} = ${percent(errors, reference)}`, rtf.toPrecision(2)].map((cell) => el("td", { class: "number" }, cell)))))));

  const heatMap = ({ system, method, chosen, tried }) => {
    const names = Object.keys(tried[0]).filter((name) => name !== "errors");
    const values = (name) => [...new Set(tried.map((point) => point[name]))].sort((a, b) => a - b);
    const varied = names.filter((name) => values(name).length > 1);
    const across = varied.includes("word_bonus") ? "word_bonus" : varied[0] || names[0];
    const down = varied.find((name) => name !== across) || names.find((name) => name !== across) || across;
    const others = names.filter((name) => name !== across && name !== down);
    const shown = tried.filter((point) => others.every((name) => point[name] === chosen[name]));
    const errors = shown.map((point) => point.errors);
    const [fewest, most] = [Math.min(...errors), Math.max(...errors)];
    const words = (name) => name.replace(/_/g, " ");
    const cell = (row, column) => {
      const point = shown.find((each) => each[down] === row && each[across] === column);
      if (!point) return el("td", {}, "");
      const best = names.every((name) => point[name] === chosen[name]);
      // The square spreads the good end, where the differences that matter are
      const heat = most > fewest ? 0.62 * ((most - point.errors) / (most - fewest)) ** 2 : 0.3;
      return el("td", { class: best ? "best" : null, "--heat": heat.toFixed(3), title: `${words(down)} ${row}, ${words(across)} ${column}: ${point.errors} errors${best ? ", chosen" : ""}` }, String(point.errors));
    };
    const fixedText = others.map((name) => `${words(name)} ${chosen[name]}`).join(", ");
    return el("figure", {},
      el("figcaption", {}, `${both ? `${system.label}: ` : ""}${method}`),
      el("div", { class: "wide", tabindex: 0, role: "region", "aria-label": `Scales of ${method}` }, el("table", { class: "heat" },
        el("caption", {}, `${words(down)} downwards, ${words(across)} to the right${fixedText ? `; at ${fixedText}` : ""}`),
        el("thead", {}, el("tr", {}, el("th", {}, ""), values(across).map((value) => el("th", { scope: "col" }, String(value))))),
        el("tbody", {}, values(down).map((row) => el("tr", {}, el("th", { scope: "row" }, String(row)), values(across).map((column) => cell(row, column))))))));
  };

  // ---- Where the errors are

  const drawBreakdown = () => {
    const of = page.sets.find((set) => set.name === get("error-set").value) || page.sets[0];
    const unit = page.unit;
    const blocks = [];
    of.systems.forEach((system, side) => {
      for (const [kind, rows] of Object.entries(system.confusions)) {
        const most = Math.max(1, ...of.systems.flatMap((each) => each.confusions[kind].map((row) => row[2])));
        const items = rows.map(([reference, hypothesis, number]) => el("li", {},
          el("button", { type: "button", class: "name", title: "Show the utterances with it", click: () => filterPair([reference, hypothesis]) },
            reference, reference && hypothesis ? el("span", { class: "arrow" }, " → ") : null, hypothesis),
          el("span", { class: "bar" }, el("i", { class: SIDES[side], "--part": number / most })),
          el("span", { class: "value" }, String(number))));
        const name = kind[0].toUpperCase() + kind.slice(1);
        blocks.push(block(both ? `${name}, ${systems[side].label}` : name, items.length ? el("ol", { class: "bars" }, items) : el("p", { class: "note" }, "None.")));
      }
    });
    for (const [key, title] of [["speakers", "Speakers"], ["lengths", `Length of the reference in ${unit}s`], ["snr", "Signal-to-noise ratio"]]) {
      const groups = Object.keys(of.systems[0][key] || {});
      if (!groups.length) continue;
      const rate = (system, group) => { const [errors, length] = system[key][group] || [0, 0]; return length ? errors / length : 0; };
      const most = Math.max(1e-9, ...of.systems.flatMap((system) => groups.map((group) => rate(system, group))));
      const shown = groups.slice(0, 60);
      const items = shown.map((group) => el("li", {},
        key === "snr" ? el("span", { class: "name" }, group) : el("button", { type: "button", class: "name", title: "Show its utterances", click: () => filterGroup(key, group, of.name) }, group),
        el("span", { class: "bar" }, of.systems.map((system, side) => el("i", { class: SIDES[side], "--part": rate(system, group) / most }))),
        el("span", { class: "value" }, of.systems.map((system) => { const [errors, length] = system[key][group] || [0, 0]; return both ? percent(errors, length) : `${errors}/${length} = ${percent(errors, length)}`; }).join(" · "))));
      const more = groups.length - shown.length;
      blocks.push(block(`${title}, ${page.rate}`, el("ol", { class: "bars" }, items), more > 0 ? el("p", { class: "note" }, `and ${more} more with lower rates`) : null));
    }
    of.systems.forEach((system, side) => {
      if (system.calibration) blocks.push(block(`Calibration of word confidences${both ? `, ${systems[side].label}` : ""}`, reliability(system.calibration, side),
        el("p", { class: "note" }, `${system.calibrated}: expected calibration error ${system.calibration.expected_error.toFixed(3)}, ${system.calibration.words} words. On the diagonal, confidence equals accuracy; the area of a dot is its number of words.`)));
    });
    get("breakdown").replaceChildren(...blocks);
  };

  const block = (title, ...content) => el("div", {}, el("h3", {}, title), ...content);

  const reliability = (calibration, side) => {
    const [size, left, bottom] = [250, 34, 32];
    const x = (value) => left + (size - left - 8) * value;
    const y = (value) => 8 + (size - bottom - 8) * (1 - value);
    const bins = calibration.bins.filter(([words]) => words);
    const most = Math.max(...bins.map(([words]) => words));
    return svg("svg", { viewBox: `0 0 ${size} ${size}`, width: size, role: "img", "aria-label": "Reliability diagram" },
      [0, 0.5, 1].map((tick) => [
        svg("line", { x1: x(0), x2: x(1), y1: y(tick), y2: y(tick), class: "grid" }),
        svg("line", { x1: x(tick), x2: x(tick), y1: y(0), y2: y(1), class: "grid" }),
        svg("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, String(tick)),
        svg("text", { x: x(tick), y: size - 16, "text-anchor": "middle" }, String(tick)),
      ]).flat(),
      svg("line", { x1: x(0), y1: y(0), x2: x(1), y2: y(1), class: "grid", "stroke-dasharray": "4 3" }),
      svg("path", { d: bins.map(([, mean, share], at) => `${at ? "L" : "M"}${x(mean)} ${y(share)}`).join(""), class: `series ${SIDES[side]}` }),
      bins.map(([words, mean, share]) => svg("circle", { cx: x(mean), cy: y(share), r: 2 + 6 * Math.sqrt(words / most), class: `dot ${SIDES[side]}` },
        svg("title", {}, `${words} words: mean confidence ${mean.toFixed(2)}, ${(100 * share).toFixed(0)} % correct`))),
      svg("text", { x: x(0.5), y: size - 2, "text-anchor": "middle" }, "mean confidence"),
      svg("text", { x: 0, y: 0, "text-anchor": "middle", transform: `translate(9 ${y(0.5)}) rotate(-90)` }, "share correct"));
  };

  // ---- The list of utterances

  const hypothesisOf = (system) => system.pairs.map((pair) => pair[1]).filter(Boolean).join(" ");
  const utterances = page.utterances.map((row, index) => ({
    ...row,
    index,
    text: row.words.join(" "),
    difference: both ? row.systems[1].errors - row.systems[0].errors : 0,
    errors: Math.max(...row.systems.map((system) => system.errors)),
    confidence: Math.min(2, ...row.systems.flatMap((system) => system.times.map((time) => time[3]))),
    searched: [row.id, row.words.join(" "), ...row.systems.map(hypothesisOf)].join("\n").toLowerCase(),
  }));
  const length = (row) => row.systems[0].reference;
  const binOf = (tokens) => { // as asrkit.score.breakdown.length_bin
    if (tokens <= 4) return tokens ? "1-4" : "0";
    const top = 2 ** Math.ceil(Math.log2(tokens));
    return `${top / 2 + 1}-${top}`;
  };
  const rate = (row) => row.errors / Math.max(1, length(row));
  const collator = new Intl.Collator(undefined, { numeric: true });
  const byId = (a, b) => collator.compare(a.id, b.id);
  const SORTS = {
    "most errors": (a, b) => b.errors - a.errors || rate(b) - rate(a) || byId(a, b),
    "highest error rate": (a, b) => rate(b) - rate(a) || b.errors - a.errors || byId(a, b),
    "lowest confidence": (a, b) => a.confidence - b.confidence || byId(a, b),
    "speaker": (a, b) => collator.compare(a.speaker, b.speaker) || byId(a, b),
    "longest": (a, b) => b.seconds - a.seconds || byId(a, b),
    "shortest": (a, b) => a.seconds - b.seconds || byId(a, b),
    "name": byId,
  };
  const ERRORS = { "any": () => true, "with errors": (row) => row.errors > 0, "without errors": (row) => row.errors === 0, "one error": (row) => row.errors === 1 };
  if (both) {
    const [a, b] = page.labels;
    SORTS["largest difference"] = (x, y) => Math.abs(y.difference) - Math.abs(x.difference) || byId(x, y);
    SORTS[`${a} better`] = (x, y) => y.difference - x.difference || byId(x, y);
    SORTS[`${b} better`] = (x, y) => x.difference - y.difference || byId(x, y);
    ERRORS["different errors"] = (row) => row.difference !== 0;
    ERRORS["different words"] = (row) => hypothesisOf(row.systems[0]) !== hypothesisOf(row.systems[1]);
    ERRORS[`${a} better`] = (row) => row.difference > 0;
    ERRORS[`${b} better`] = (row) => row.difference < 0;
    ERRORS[`${a} right, ${b} wrong`] = (row) => !row.systems[0].errors && row.systems[1].errors > 0;
    ERRORS[`${b} right, ${a} wrong`] = (row) => !row.systems[1].errors && row.systems[0].errors > 0;
    ERRORS["both wrong"] = (row) => row.systems.every((system) => system.errors > 0);
  }
  let pairFilter = null;
  let shown = [];
  let current = null;

  const options = (select, names, any) => {
    if (any) select.append(el("option", { value: "" }, any));
    select.append(...names.map((name) => el("option", { value: name }, name)));
  };

  const setUpList = () => {
    const { sampling } = page;
    get("sampling").textContent = sampling.shown === sampling.all
      ? `All ${sampling.all} utterances.`
      : `A sample of ${sampling.shown} of ${sampling.all} utterances: a third with the most errors, a third with the words rarest in training, the others at random (seed ${sampling.seed}). Figures above are of all.`;
    get("notes").append(...page.notes.map((note) => el("li", {}, note)));
    const sets = [...new Set(utterances.map((row) => row.set))];
    options(get("error-set"), page.sets.map((set) => set.name));
    get("error-set").closest("p").hidden = page.sets.length < 2;
    options(get("sort"), Object.keys(SORTS));
    options(get("filter-set"), sets, "all");
    get("filter-set").closest("label").hidden = sets.length < 2;
    options(get("filter-speaker"), [...new Set(utterances.map((row) => row.speaker))].sort(collator.compare), "all");
    options(get("filter-errors"), Object.keys(ERRORS));
    const bins = [...new Set(utterances.map((row) => binOf(length(row))))].sort((a, b) => parseInt(a) - parseInt(b));
    get("filter-length").append(el("option", { value: "" }, "all"), ...bins.map((bin) => el("option", { value: bin }, `${bin} ${page.unit}s`)));
    for (const id of ["sort", "filter-set", "filter-speaker", "filter-errors", "filter-length"]) get(id).addEventListener("change", drawList);
    get("search").addEventListener("input", drawList);
    get("error-set").addEventListener("change", drawBreakdown);
    get("pair").addEventListener("click", () => { pairFilter = null; drawList(); get("search").focus(); });
    get("list").addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const buttons = [...get("list").querySelectorAll("button")];
      const next = buttons[buttons.indexOf(document.activeElement) + step];
      if (next) focusIn(next);
    });
  };

  const focusIn = (button) => {
    for (const other of get("list").querySelectorAll("button[tabindex='0']")) other.tabIndex = -1;
    button.tabIndex = 0;
    button.focus();
  };

  const drawList = () => {
    const wanted = get("search").value.trim().toLowerCase();
    const [set, speaker, bin] = ["filter-set", "filter-speaker", "filter-length"].map((id) => get(id).value);
    const hasPair = (row) => row.systems.some((system) => system.pairs.some((pair) => pair[0] === pairFilter[0] && pair[1] === pairFilter[1]));
    shown = utterances.filter((row) =>
      (!set || row.set === set) && (!speaker || row.speaker === speaker) && (!bin || binOf(length(row)) === bin) &&
      ERRORS[get("filter-errors").value](row) && (!wanted || row.searched.includes(wanted)) && (!pairFilter || hasPair(row)));
    shown.sort(SORTS[get("sort").value]);
    get("pair").hidden = !pairFilter;
    if (pairFilter) get("pair").textContent = `${pairFilter[0] || "(inserted)"} → ${pairFilter[1] || "(deleted)"}  ×`;
    get("count").textContent = `${shown.length} of ${utterances.length} utterances`;
    const tabbable = Math.max(0, shown.findIndex((row) => row.index === current)); // one of the list; arrows go on
    get("list").replaceChildren(...shown.map((row, at) => el("li", {},
      el("button", { type: "button", "data-index": row.index, "aria-current": row.index === current ? "true" : null, tabindex: at === tabbable ? 0 : -1,
        click: (event) => { open(row.index); if (event.detail === 0) get("detail").querySelector("h3").focus(); } },
        el("span", { class: "top" }, el("span", {}, row.id), el("span", {}, row.speaker), el("span", {}, `${row.seconds.toFixed(1)} s`),
          el("b", { class: row.errors ? null : "none" }, `${row.systems.map((system) => system.errors).join(" → ")} / ${length(row)}`)),
        el("span", { class: "text", dir: "auto" }, row.text || "(no words)")))));
  };

  const toList = () => { drawList(); get("utterances").scrollIntoView(); };
  const filterPair = (pair) => { pairFilter = pair; toList(); };
  const filterGroup = (key, group, set) => {
    if ([...get("filter-set").options].some((option) => option.value === set)) get("filter-set").value = set;
    get(key === "speakers" ? "filter-speaker" : "filter-length").value = group;
    toList();
  };

  // ---- One utterance

  let player = null;
  let address = "";
  let redraw = () => {};

  const detailOf = (index) => JSON.parse(get(`detail-${index}`).textContent);

  // Scrolls the list, and not the page
  const reveal = (button) => {
    const list = get("list");
    const [outer, inner] = [list.getBoundingClientRect(), button.getBoundingClientRect()];
    if (inner.top < outer.top) list.scrollTop -= outer.top - inner.top;
    if (inner.bottom > outer.bottom) list.scrollTop += inner.bottom - outer.bottom;
  };

  const narrow = window.matchMedia("(max-width: 800px)");

  const open = (index, keepAddress = false) => {
    const row = utterances[index];
    current = index;
    for (const button of get("list").querySelectorAll("button")) {
      if (Number(button.dataset.index) === index) {
        button.setAttribute("aria-current", "true");
        reveal(button);
      } else button.removeAttribute("aria-current");
    }
    get("browser").classList.add("open");
    if (!keepAddress) history.replaceState(null, "", `#u=${encodeURIComponent(`${row.set}/${row.id}`)}`);
    if (address) URL.revokeObjectURL(address);
    address = "";
    player = null;
    redraw = () => {};
    const detail = detailOf(index);
    const signal = el("div", { class: "signal" });
    const pane = get("detail");
    delete pane.dataset.drawn;
    const position = shown.findIndex((each) => each.index === index);
    const step = (by, name) => {
      const next = shown[position + by];
      if (next) open(next.index);
      pane.querySelector(`.${name}`).focus();
    };
    const tags = [row.set, row.speaker, `${row.seconds.toFixed(2)} s`, `${row.systems.map((system, side) => `${both ? `${page.labels[side]}: ` : ""}${counted(system.errors)} in ${system.reference} ${page.unit}s`).join(", ")}`];
    if (row.why) tags.push(`in the sample: ${row.why}`);
    row.systems.forEach((system) => { if (system.fallback) tags.push(`fallback: ${system.fallback}`); });
    if (row.rejected) tags.push(`not decoded: ${row.rejected}`);
    pane.replaceChildren(
      el("div", { class: "headrow" }, el("h3", { tabindex: -1 }, row.id),
        el("div", { class: "steps" },
          el("button", { type: "button", class: "back", click: close }, "← List"),
          el("button", { type: "button", class: "previous", disabled: position < 1, click: () => step(-1, "previous") }, "Previous"),
          el("button", { type: "button", class: "next", disabled: position < 0 || position + 1 >= shown.length, click: () => step(1, "next") }, "Next"))),
      el("p", { class: "tags" }, tags.join(" · ")));
    pane.append(el("h4", {}, `Alignment (${systems.map((system) => `${both ? `${system.label}: ` : ""}${system.method}`).join(", ")})`), alignment(row));
    const timed = systems.map((system) => system.timed).filter((method, side) => method && row.systems[side].times.length);
    pane.append(el("h4", {}, timed.length ? `Signal, with word times of ${[...new Set(timed)].join(" and ")}` : "Signal"));
    if (detail.audio) {
      const bytes = Uint8Array.from(atob(detail.audio), (character) => character.charCodeAt(0));
      address = URL.createObjectURL(new Blob([bytes], { type: "audio/flac" }));
      player = el("audio", { controls: true, src: address, preload: "auto" });
      pane.append(player, signal);
      drawSignal(signal, bytes, row, detail).then(() => { if (current === index) pane.dataset.drawn = "true"; });
    } else pane.append(el("p", { class: "note" }, "The audio is not available."));
    if (detail.synthetic) pane.append(...syntheticSpeech(detail));
    detail.systems.forEach((system, side) => {
      const label = both ? `, ${page.labels[side]}` : "";
      if (system.graph) pane.append(...wordGraph(system.graph, label));
      if (system.nbest) pane.append(...nbestList(system.nbest, label));
      if (row.systems[side].others.length) pane.append(...otherMethods(row.systems[side].others, label));
    });
    if (narrow.matches) get("browser").scrollIntoView();
  };

  const close = () => {
    get("browser").classList.remove("open");
    const button = get("list").querySelector("[aria-current]") || get("list").querySelector("button");
    if (button) focusIn(button);
  };

  const kindOf = ([reference, hypothesis]) => (reference === hypothesis ? "" : !reference ? "I" : hypothesis ? "S" : "D");
  const NAMES = { S: "substituted", D: "deleted", I: "inserted" };

  // [reference, hypothesis of each system] by column; the words that systems insert at one place share columns
  const columnsOf = (row) => {
    const gaps = Array.from({ length: length(row) + 1 }, () => ({ inserted: row.systems.map(() => []), reference: "", hypotheses: [] }));
    row.systems.forEach((system, side) => {
      let at = 0;
      for (const [reference, hypothesis] of system.pairs) {
        if (!reference) { gaps[at].inserted[side].push(hypothesis); continue; }
        gaps[at].reference = reference;
        gaps[at].hypotheses[side] = hypothesis;
        at += 1;
      }
    });
    return gaps.flatMap(({ inserted, reference, hypotheses }) => {
      const most = Math.max(...inserted.map((words) => words.length));
      const columns = Array.from({ length: most }, (_, at) => ["", ...inserted.map((words) => words[at] || "")]);
      return reference ? [...columns, [reference, ...hypotheses]] : columns;
    });
  };

  const alignment = (row) => el("ol", { class: `pairs ${page.unit === "character" ? "characters" : ""}`, dir: "auto" },
    el("li", { class: "rows", "aria-hidden": "true" }, el("span", {}, "ref"),
      systems.map((_, side) => [el("span", {}, both ? page.labels[side] : "hyp"), el("span", { class: "mark" })]).flat()),
    columnsOf(row).map(([reference, ...hypotheses]) => {
      const kinds = hypotheses.map((hypothesis) => kindOf([reference, hypothesis]));
      const said = hypotheses.map((hypothesis, side) => `${both ? `${page.labels[side]}: ` : ""}${kinds[side] ? `${NAMES[kinds[side]]}: ${[reference, hypothesis].filter(Boolean).join(" by ")}` : reference}`).join("; ");
      return el("li", { class: new Set(hypotheses).size > 1 ? "differs" : null, "data-kind": kinds.join(" "), "aria-label": said, title: kinds.some(Boolean) ? said : null },
        el("span", { class: reference ? "ref" : "ref gap" }, reference || "·"),
        hypotheses.map((hypothesis, side) => [
          el("span", { class: `hyp ${kinds[side]}${hypothesis ? "" : " gap"}` }, hypothesis || "·"),
          el("span", { class: `mark ${kinds[side]}` }, kinds[side])]).flat());
    }));

  const nbestList = (nbest, label) => {
    const said = nbest.all > nbest.rows.length ? `the first ${nbest.rows.length} of ${nbest.all}` : `${nbest.all}`;
    return [
      el("h4", {}, `n-best list${label} (${nbest.method}, ${said})`),
      el("div", { class: "wide nbest", tabindex: 0, role: "region", "aria-label": "n-best list" }, el("table", {},
        el("thead", {}, el("tr", {}, el("th", { class: "number" }, "#"), el("th", { class: "number" }, "word errors"), el("th", {}, "hypothesis"),
          nbest.columns.map((column) => el("th", { class: "number" }, column)))),
        el("tbody", {}, nbest.rows.map((each, at) => el("tr", {},
          el("td", { class: "number" }, String(at + 1)), el("td", { class: "number" }, String(each.errors)),
          el("td", { class: "text", dir: "auto" }, each.words.join(" ") || "(nothing)"),
          each.scores.map((score, column) => el("td", { class: "number" }, nbest.columns[column] === "words" ? String(score) : fixed(score)))))))),
    ];
  };

  const otherMethods = (others, label) => [
    el("h4", {}, `Other methods${label}`),
    el("div", { class: "wide nbest", tabindex: 0, role: "region", "aria-label": "Other methods" }, el("table", {}, el("tbody", {}, others.map(([method, errors, text]) =>
      el("tr", {}, el("th", { scope: "row" }, method), el("td", { class: "number" }, counted(errors)), el("td", { class: "text", dir: "auto" }, text || "(nothing)")))))),
  ];

  // A word ends at its place: seconds of a lattice, positions of an n-best list. The most probable words get the first lane.
  const wordGraph = ({ source, nodes, edges }, label) => {
    const timed = source === "lattice";
    const wide = nodes.map(([word]) => (word ? 7.6 * word.length + 10 : 8));
    const last = nodes[nodes.length - 1][1];
    const scale = Math.max((get("detail").clientWidth - 60) / last, timed ? 160 : Math.max(...wide) + 30);
    const right = nodes.map(([, place]) => 14 + place * scale);
    const left = right.map((edge, at) => edge - wide[at]);
    const lanes = [];
    const laneOf = [];
    const inWay = (at, lane, from, to) => lanes[lane].some((other) => other !== at && left[other] < to && right[other] > from);
    for (const at of nodes.map((_, index) => index).sort((a, b) => nodes[b][2] - nodes[a][2])) {
      let lane = lanes.findIndex((_, each) => !inWay(at, each, left[at] - 12, right[at] + 12));
      if (lane < 0) lane = lanes.push([]) - 1;
      lanes[lane].push(at);
      laneOf[at] = lane;
    }
    const y = (at) => 40 + 28 * laneOf[at];
    const [width, bottom] = [right[nodes.length - 1] + 14, 40 + 28 * (lanes.length - 1) + 22];
    const arcs = edges.map(([from, to, posterior]) => {
      const [x1, x2] = [right[from], left[to]];
      const bend = Math.max(12, (x2 - x1) / 2);
      // Around the words of the lane that it leaves out
      const lift = laneOf[from] === laneOf[to] && inWay(from, laneOf[from], x1 + 1, x2 - 1) ? -28 : 0;
      return svg("path", { d: `M${x1} ${y(from)}C${x1 + bend} ${y(from) + lift} ${x2 - bend} ${y(to) + lift} ${x2} ${y(to)}`, class: "arc", "stroke-width": (0.6 + 3.4 * posterior).toFixed(2), "stroke-opacity": (0.45 + 0.55 * posterior).toFixed(2) },
        svg("title", {}, `${nodes[from][0] || "start"} → ${nodes[to][0] || "end"}: posterior ${posterior.toFixed(3)}`));
    });
    const words = nodes.map(([word, place, posterior], at) => (word
      ? svg("text", { x: (left[at] + right[at]) / 2, y: y(at) + 4, class: posterior < 0.1 ? "label faint" : "label" }, word,
        svg("title", {}, `${word}: posterior ${posterior.toFixed(3)}${timed ? `, ${place.toFixed(2)} s` : ""}`))
      : svg("circle", { cx: (left[at] + right[at]) / 2, cy: y(at), r: 4, class: "state" })));
    const every = 0.5; // seconds
    const ticks = timed ? Array.from({ length: Math.floor(last / every) + 1 }, (_, at) => svg("text", { x: 14 + at * every * scale, y: bottom + 8, "text-anchor": "middle" }, at ? `${at * every} s` : "0")) : [];
    return [
      el("h4", {}, `${timed ? "Lattice" : "Word graph of the n-best list"}${label} (thicker: more probable${timed ? "; a word stands at its last token" : ""})`),
      el("div", { class: "wide graph", tabindex: 0, role: "region", "aria-label": "Word graph" },
        svg("svg", { width, height: bottom + 14, role: "img", "aria-label": `Word graph with ${nodes.length - 2} words` }, arcs, words, ticks)),
    ];
  };

  // ---- Waveform, spectrogram, posteriors on one time axis

  const decode = async (bytes) => {
    const rate = (bytes[18] << 12) | (bytes[19] << 4) | (bytes[20] >> 4); // of FLAC's first block
    const context = new OfflineAudioContext(1, 1, rate);
    const buffer = await context.decodeAudioData(bytes.buffer.slice(0));
    return { samples: buffer.getChannelData(0), rate };
  };

  // In-place radix-2 FFT (Cooley and Tukey 1965)
  const transform = (real, imaginary) => {
    const size = real.length;
    for (let i = 1, j = 0; i < size; i++) {
      let bit = size >> 1;
      for (; j & bit; bit >>= 1) j ^= bit;
      j ^= bit;
      if (i < j) { [real[i], real[j]] = [real[j], real[i]]; [imaginary[i], imaginary[j]] = [imaginary[j], imaginary[i]]; }
    }
    for (let span = 2; span <= size; span <<= 1) {
      const half = span >> 1;
      for (let k = 0; k < half; k++) {
        const angle = (-2 * Math.PI * k) / span;
        const [c, s] = [Math.cos(angle), Math.sin(angle)];
        for (let i = k; i < size; i += span) {
          const j = i + half;
          const r = real[j] * c - imaginary[j] * s;
          const m = real[j] * s + imaginary[j] * c;
          real[j] = real[i] - r; imaginary[j] = imaginary[i] - m;
          real[i] += r; imaginary[i] += m;
        }
      }
    }
  };

  // Decibels below the loudest bin, in 0 (-70 dB) to 1 (0 dB): frames of 25 ms each 5 ms, pre-emphasis 0.97, Hann
  const spectrogram = (samples, rate) => {
    const window = Math.round(0.025 * rate);
    const size = 2 ** Math.ceil(Math.log2(window));
    const hop = Math.max(Math.round(0.005 * rate), Math.ceil(samples.length / 6000));
    const frames = Math.max(1, Math.floor(samples.length / hop));
    const bins = size / 2;
    const levels = new Float32Array(frames * bins);
    let loudest = -Infinity;
    const [real, imaginary] = [new Float64Array(size), new Float64Array(size)];
    for (let frame = 0; frame < frames; frame++) {
      real.fill(0); imaginary.fill(0);
      const first = frame * hop - (window >> 1);
      for (let i = 0; i < window; i++) {
        const at = first + i;
        if (at < 1 || at >= samples.length) continue;
        real[i] = (samples[at] - 0.97 * samples[at - 1]) * (0.5 - 0.5 * Math.cos((2 * Math.PI * i) / (window - 1)));
      }
      transform(real, imaginary);
      for (let bin = 0; bin < bins; bin++) {
        const level = 10 * Math.log10(real[bin] ** 2 + imaginary[bin] ** 2 + 1e-12);
        levels[frame * bins + bin] = level;
        if (level > loudest) loudest = level;
      }
    }
    for (let i = 0; i < levels.length; i++) levels[i] = Math.max(0, 1 + (levels[i] - loudest) / 70);
    return { levels, frames, bins, hop };
  };

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const channels = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

  const drawSignal = async (container, bytes, row, detail) => {
    const { samples, rate } = await decode(bytes);
    if (!container.isConnected) return;
    const spectrum = spectrogram(samples, rate);
    redraw = () => layOutSignal(container, samples, rate, spectrum, row, detail);
    redraw();
  };

  // What stage synthesise said of the same text, its spectrogram beside the recording's
  const syntheticSpeech = (detail) => {
    const { audio, speaker, words } = detail.synthetic;
    const bytesOf = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    const pictures = el("div", { class: "beside" });
    const draw = async (bytes, label) => {
      const canvas = el("canvas", { role: "img", "aria-label": `Spectrogram, ${label}`, width: 800, height: 340 });
      pictures.append(el("figure", {}, canvas, el("figcaption", {}, label)));
      const { samples, rate } = await decode(bytes);
      drawSpectrum(canvas.getContext("2d"), spectrogram(samples, rate), 800, 340);
    };
    if (detail.audio) draw(bytesOf(detail.audio), "recording");
    draw(bytesOf(audio), `synthetic, ${speaker}`);
    return [
      el("h4", {}, "Synthetic speech of the reference"),
      el("audio", { controls: true, src: `data:audio/flac;base64,${audio}`, preload: "auto" }),
      pictures,
      el("p", { class: "note", dir: "auto" }, `Recognised as: ${words.join(" ") || "(nothing)"}`),
    ];
  };

  const ROW = 13; // pixels of a token of the posteriors
  const TOKENS = 48;

  const layOutSignal = (container, samples, rate, spectrum, row, detail) => {
    const seconds = samples.length / rate;
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const room = Math.max(200, container.clientWidth - 62);
    const width = Math.round(Math.min(Math.max(room, seconds * 90), 16000 / ratio));
    const scale = width / seconds; // pixels per second
    const stage = el("div", { class: "stage" });
    const gutter = el("div", { class: "gutter" });
    const note = (text, top) => gutter.append(el("span", { title: text, style: { top: `${top}px` } }, text));
    let top = 0;
    let widest = width; // the last word may reach beyond the audio
    const canvas = (height, label) => {
      const node = el("canvas", { role: "img", "aria-label": label, width: Math.round(width * ratio), height: Math.round(height * ratio), style: { top: `${top}px`, width: `${width}px`, height: `${height}px` } });
      stage.append(node);
      top += height;
      const context = node.getContext("2d");
      context.scale(ratio, ratio);
      return context;
    };
    row.systems.forEach((system, side) => {
      if (!system.times.length) return;
      const [lanes, end] = placeWords(stage, system.times, scale, top);
      widest = Math.max(widest, Math.ceil(end));
      note(both ? page.labels[side] : "words", top + 9);
      top += 18 * lanes + 4;
    });
    const begin = top;
    note("wave", top + 26);
    drawWave(canvas(52, "Waveform"), samples, width, 52);
    const height = 170;
    const nyquist = rate / 2000;
    note(`${Number(nyquist.toFixed(1))} kHz`, top + 7);
    note(`${Number((nyquist / 2).toFixed(1))}`, top + height / 2);
    note("0", top + height - 7);
    const spectrumTop = top;
    const context = canvas(height, "Spectrogram");
    context.canvas.id = "spectrogram";
    drawSpectrum(context, spectrum, width, height);
    row.systems.forEach((system, side) => {
      for (const [, start, duration, , right] of system.times) {
        const tall = height / row.systems.length;
        stage.append(el("div", { class: right ? "band" : "band wrong", style: { left: `${start * scale}px`, width: `${Math.max(2, duration * scale)}px`, top: `${spectrumTop + side * tall}px`, height: `${tall}px` } }));
      }
    });
    detail.systems.forEach((system, side) => {
      if (!system.posteriors) return;
      const tokens = system.posteriors.tokens.slice(0, TOKENS);
      top += 8;
      tokens.forEach((token, at) => note(token, top + ROW * at + ROW / 2));
      note("blank", top + ROW * tokens.length + ROW / 2);
      const tall = ROW * (tokens.length + 1);
      drawPosteriors(canvas(tall, `Posteriors of tokens over time${both ? `, ${page.labels[side]}` : ""}`), system.posteriors, tokens.length, scale, width, tall, side);
    });
    const every = [0.1, 0.2, 0.5, 1, 2, 5, 10].find((step) => step * scale >= 60) || 20;
    for (let at = 0; at === 0 || at * every * scale < width - 34; at++) {
      const time = at * every;
      stage.append(el("span", { class: "tick", style: { left: `${time * scale}px`, top: `${top}px` } }, at ? `${Number(time.toFixed(1))} s` : "0"));
    }
    top += 17;
    const cursor = el("div", { class: "cursor", style: { top: `${begin}px` } });
    stage.append(cursor);
    Object.assign(stage.style, { width: `${widest}px`, height: `${top}px` });
    gutter.style.height = `${top}px`;
    const seek = (event) => { if (event.target.tagName === "CANVAS" && player) player.currentTime = event.offsetX / scale; };
    stage.addEventListener("click", seek);
    const scroller = el("div", { class: "scroller", tabindex: 0, role: "region", "aria-label": "Waveform, spectrogram and posteriors over time" }, stage);
    container.replaceChildren(gutter, scroller);
    const own = player;
    const follow = () => {
      if (!cursor.isConnected || own !== player) return;
      const x = own.currentTime * scale;
      Object.assign(cursor.style, { transform: `translateX(${x}px)`, visibility: "visible" });
      if (!own.paused) {
        if (x < scroller.scrollLeft || x > scroller.scrollLeft + scroller.clientWidth) scroller.scrollLeft = x - 20;
        requestAnimationFrame(follow);
      }
    };
    for (const name of ["play", "seeked", "timeupdate"]) own.addEventListener(name, follow);
  };

  // Words at their times, in the first lane that is free; gives the number of lanes, and where the last word ends
  const placeWords = (stage, times, scale, top) => {
    const ends = [];
    for (const [word, start, duration, confidence, right] of times) {
      const left = start * scale;
      let lane = ends.findIndex((end) => end <= left);
      if (lane < 0) lane = ends.length < 4 ? ends.push(0) - 1 : 0;
      ends[lane] = left + 8.2 * word.length + 10;
      stage.append(el("button", {
        type: "button", class: right ? "word" : "word wrong", title: `${word}: ${start.toFixed(2)} to ${(start + duration).toFixed(2)} s, confidence ${confidence.toFixed(2)}; click to hear it`,
        style: { left: `${left}px`, top: `${top + 18 * lane}px`, opacity: 0.55 + 0.45 * confidence }, click: () => playPart(start, duration),
      }, word));
    }
    return [ends.length, Math.max(...ends)];
  };

  const playPart = (start, duration) => {
    if (!player) return;
    const own = player;
    const end = start + duration + 0.08;
    own.currentTime = Math.max(0, start - 0.05);
    own.play();
    const check = () => {
      if (own !== player || own.paused) return;
      if (own.currentTime >= end) own.pause();
      else requestAnimationFrame(check);
    };
    requestAnimationFrame(check);
  };

  const drawWave = (context, samples, width, height) => {
    context.fillStyle = colour("--wave");
    let loudest = 1e-4;
    for (let i = 0; i < samples.length; i++) loudest = Math.max(loudest, Math.abs(samples[i]));
    for (let x = 0; x < width; x++) {
      const first = Math.floor((x * samples.length) / width);
      const last = Math.min(samples.length, Math.floor(((x + 1) * samples.length) / width) + 1);
      let [low, high] = [0, 0];
      for (let i = first; i < last; i++) { if (samples[i] < low) low = samples[i]; if (samples[i] > high) high = samples[i]; }
      const y = (value) => (height / 2) * (1 - (0.94 * value) / loudest);
      context.fillRect(x, y(high), 1, Math.max(1, y(low) - y(high)));
    }
  };

  const drawSpectrum = (context, { levels, frames, bins }, width, height) => {
    const [from, to] = [channels(colour("--spectrum-low")), channels(colour("--spectrum-high"))];
    const image = new ImageData(frames, bins);
    for (let frame = 0; frame < frames; frame++) {
      for (let bin = 0; bin < bins; bin++) {
        const level = levels[frame * bins + bin] ** 1.5;
        const at = 4 * ((bins - 1 - bin) * frames + frame);
        for (let c = 0; c < 3; c++) image.data[at + c] = from[c] + (to[c] - from[c]) * level;
        image.data[at + 3] = 255;
      }
    }
    const small = el("canvas", { width: frames, height: bins });
    small.getContext("2d").putImageData(image, 0, 0);
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.drawImage(small, 0, 0, width, height);
  };

  const drawPosteriors = (context, posteriors, tokens, scale, width, height, side) => {
    const [strong, muted, line] = [colour(side ? "--second" : "--accent"), colour("--muted"), colour("--line")];
    context.fillStyle = line;
    for (let at = 0; at <= tokens; at++) context.fillRect(0, ROW * at, width, 0.5);
    const step = posteriors.step * scale;
    const paint = (token, frame, part, fill) => {
      context.globalAlpha = part;
      context.fillStyle = fill;
      context.fillRect(frame * step, ROW * token + 1.5, Math.max(1, step - 0.3), ROW - 2.5);
    };
    posteriors.frames.forEach((frame, at) => {
      for (let i = 0; i < frame.length; i += 2) if (frame[i] < tokens) paint(frame[i], at, 0.12 + (0.88 * frame[i + 1]) / 100, strong);
      paint(tokens, at, (0.6 * posteriors.blank[at]) / 100, muted);
    });
    context.globalAlpha = 1;
  };

  // ---- Keys, theme, width, address

  const keys = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") { close(); return; }
    if (["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName)) return;
    const step = { j: 1, k: -1 }[event.key];
    if (step) {
      const position = shown.findIndex((row) => row.index === current);
      const next = shown[position < 0 ? 0 : position + step];
      if (next) open(next.index);
    } else if (event.key === "p" && player) {
      if (player.paused) player.play(); else player.pause();
    } else if (event.key === "/") {
      event.preventDefault();
      get("search").focus();
    }
  };

  const openAddress = () => {
    if (!location.hash.startsWith("#u=")) return false;
    let wanted = "";
    try { wanted = decodeURIComponent(location.hash.slice(3)); } catch { return false; }
    const row = utterances.find((each) => `${each.set}/${each.id}` === wanted);
    if (row) open(row.index);
    return Boolean(row);
  };

  drawHeader();
  drawResults();
  drawCurves();
  drawSweeps();
  drawRobustness();
  setUpList();
  drawBreakdown();
  if (both) get("sort").value = "largest difference";
  drawList();
  if (openAddress()) get("utterances").scrollIntoView();
  else if (shown.length && !narrow.matches) open(shown[0].index, true);
  document.addEventListener("keydown", keys);
  window.addEventListener("hashchange", openAddress);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraw());
  let timer = 0;
  let lastWidth = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth === lastWidth) return; // a phone's address bar comes and goes
    lastWidth = window.innerWidth;
    clearTimeout(timer);
    timer = setTimeout(() => redraw(), 150);
  });
  document.documentElement.dataset.ready = "true";
})();
