const input = (name, value, words = name) =>
  `<label>${words} <input name="${name}" type="number" step="any" value="${value}"></label>`;
const row = (first, ...rest) =>
  `<tr><th scope="row">${first}</th>${rest.map(cell => `<td>${cell}</td>`).join("")}</tr>`;

// Three places to touch. Without this script the page lacks nothing that the terminal shows.
const PLACES = {
  // J = 3(a + bc): values from left to right, derivatives from right to left.
  graph(place, start) {
    const node = (name, formula) => `<div class="node ${name}">${formula
      ? `<b>${name} = ${formula}<br>= <output name="${name}"></output></b>`
      : input(name, start[name], `${name} =`)}
      <br><span>dJ/d${name} = <output name="d${name}"></output></span></div>`;
    place.innerHTML = `<h3>Try it: another a, b or c</h3><form class="graph"><svg viewBox="0 0 4 3"
      preserveAspectRatio="none" aria-hidden="true"><path fill="none" vector-effect="non-scaling-stroke"
      stroke="currentColor" d="M.5.5C1.6.5 1.7 1.5 2.5 1.5H3.5M.5 1.5C1 1.5 1 2 1.5 2S2 1.5 2.5 1.5
      M.5 2.5C1 2.5 1 2 1.5 2"/></svg>${node("a")}${node("b")}${node("c")}
      ${node("u", "bc")}${node("v", "a + u")}${node("J", "3v")}</form>`;
    const fields = place.querySelector("form").elements;
    place.oninput = () => {
      const [a, b, c] = ["a", "b", "c"].map(name => fields[name].valueAsNumber);
      const u = b * c, v = a + u, J = 3 * v;
      const dJ = 1, dv = dJ * 3, du = dv * 1, da = dv * 1, db = du * c, dc = du * b;
      for (const [name, value] of Object.entries({u, v, J, dJ, dv, du, da, db, dc}))
        fields[name].value = Number.isFinite(value) ? +value.toPrecision(7) : "?";
    };
  },

  // w := w − α dJ/dw on the cost of one weight, in a chart that pictures/svg.py has drawn.
  descent(place, {u, y, w: start, most, top}) {
    place.insertAdjacentHTML("afterbegin", `<h3>Try it: descend</h3><form>
      ${input("alpha", 2, "α =")}${input("start", start, "start w =")}
      <button>Step</button><button type="button">Start again</button></form><p aria-live="polite"></p>`);
    const frame = place.querySelector("svg svg"); // 2 pixels larger than the axes, each way
    frame.insertAdjacentHTML("beforeend", `<path class="line thin c0"/><path class="area c0"/>`);
    const [left, upper, width, height] = frame.getAttribute("viewBox").split(" ").map(Number);
    const point = ([w, J]) =>
      [left + 2 + (w / most + 1) / 2 * (width - 4), upper + 2 + (1 - J / top) * (height - 4)].join(" ");
    const mean = f => u.reduce((sum, value, i) => sum + f(value, y[i]), 0) / u.length;
    const loss = (z, y) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))) - y * z;
    const sigmoid = z => 0.5 * (1 + Math.tanh(0.5 * z));
    const at = w => [w, mean((u, y) => loss(w * u, y)), mean((u, y) => (sigmoid(w * u) - y) * u)];
    const shown = (value, digits) => (+value.toFixed(digits)).toFixed(digits); // never -0.0000
    const form = place.querySelector("form"), {alpha: rate, start: from} = form.elements;
    const number = field => Math.max(-1e6, Math.min(1e6, field.valueAsNumber || 0));
    let steps;
    const show = () => {
      const [J, before = J] = [steps.at(-1), steps.at(-2) ?? []].map(step => step[1]);
      place.querySelector("p").textContent = J > before ? `J rose by ${shown(J - before, 6)}: too far.`
        : J < before ? `J fell by ${shown(before - J, 6)}.` : "At α = 0.02 it crawls, at α = 16 it leaps.";
      const points = steps.map(point), [line, marks] = frame.querySelectorAll(".c0");
      line.setAttribute("d", `M${points.join("L")}`);
      marks.setAttribute("d", points.map(p => `M${p}m-5 0a5 5 0 1 0 10 0 5 5 0 1 0-10 0z`).join(""));
      place.querySelector("tbody").innerHTML = steps.map(([w, J, slope], i) =>
        row(i, shown(w, 4), shown(J, 6), shown(slope, 6))).slice(-9).join("");
    };
    const restart = () => { steps = [at(number(from))]; show(); };
    form.onsubmit = () => {
      const [w, , slope] = steps.at(-1);
      steps.push(at(w - number(rate) * slope));
      show();
    };
    place.querySelector("[type=button]").onclick = from.oninput = restart;
    restart();
  },

  // The three numbers of a pixel, and their places in the column x.
  pixel(place, {pixels}) {
    const bytes = Uint8Array.from(atob(pixels), c => c.charCodeAt(0)), names = ["red", "green", "blue"];
    place.insertAdjacentHTML("afterbegin", `<h3>Try it: point at a pixel</h3>
      <form>${input("row", 10)}${input("column", 20)}</form>
      <div class="photos">${["image 0", ...names].map(name => `<figure><div>
        <canvas width="64" height="64" role="img" aria-label="${name}"></canvas><i></i></div>
        <figcaption>${name}</figcaption></figure>`).join("")}
        <figure><div><i></i></div><figcaption>x</figcaption></figure></div>`);
    const fields = place.querySelector("form").elements, marks = [...place.querySelectorAll("i")];
    const inside = value => Math.max(0, Math.min(63, Math.floor(value) || 0));
    place.oninput = () => {
      const [i, j] = [fields.row, fields.column].map(field => inside(field.valueAsNumber));
      const first = i * 64 * 3 + j * 3;
      place.querySelector("tbody").innerHTML = names.map((name, k) => row(name,
        `image[${i}, ${j}, ${k}] = ${bytes[first + k]}`,
        `x[${first + k}, 0] = ${(bytes[first + k] / 255).toFixed(3)}`)).join("");
      for (const mark of marks) [mark.style.left, mark.style.top] = [`${j / 0.64}%`, `${i / 0.64}%`];
      [marks[4].style.left, marks[4].style.top] = ["0", `${first / bytes.length * 100}%`];
    };
    place.querySelectorAll("canvas").forEach((canvas, which) => {
      const picture = new ImageData(64, 64);
      picture.data.fill(255);
      bytes.forEach((byte, n) => {
        picture.data[Math.floor(n / 3) * 4 + n % 3] = which && n % 3 !== which - 1 ? 0 : byte;
      });
      canvas.getContext("2d").putImageData(picture, 0, 0);
      canvas.onpointerdown = canvas.onpointermove = event => {
        const box = canvas.getBoundingClientRect();
        fields.row.value = inside((event.clientY - box.top) / box.height * 64);
        fields.column.value = inside((event.clientX - box.left) / box.width * 64);
        place.oninput();
      };
    });
  },
};

addEventListener("submit", event => event.preventDefault());
for (const place of document.querySelectorAll("[data-place]")) {
  PLACES[place.dataset.place](place, JSON.parse(place.dataset.figures));
  place.oninput?.();
  place.hidden = false;
}

// Sources stand open beside the text and on paper; below it, where that is narrow, they are folded.
for (const source of document.querySelectorAll("details[open]")) {
  source.open = matchMedia("(min-width: 72rem)").matches;
  addEventListener("beforeprint", () => { source.open = true; });
}
