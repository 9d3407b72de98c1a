// Evaluated in the page: what cannot be hit, has no name, overlaps, or is too faint.
() => {
  const shown = (selector) =>
    [...document.querySelectorAll(selector)].filter((element) =>
      element.checkVisibility({ visibilityProperty: true }),
    );
  const called = (element) => element.id || element.textContent.trim().slice(0, 40);
  const controls = shown("button, select, input");

  const target = (element) =>
    ["radio", "checkbox"].includes(element.type) ? element.closest("label, .field") : element;
  const tooSmall = controls.filter((element) => {
    const { width, height } = target(element).getBoundingClientRect();
    return width < 24 || height < 24;
  });

  const unnamed = controls.filter(
    (element) => !(element.labels?.length || element.ariaLabel || element.textContent.trim()),
  );

  const things = [...controls, ...shown("h1, h2, output, .mark, .part span")];
  const overlap = (a, b) => {
    if (a.contains(b) || b.contains(a)) return false;
    const [p, q] = [a.getBoundingClientRect(), b.getBoundingClientRect()];
    const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
    const high = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
    return wide > 1 && high > 1;
  };
  const overlaps = things.flatMap((a, k) =>
    things.slice(k + 1).filter((b) => overlap(a, b)).map((b) => [called(a), called(b)]),
  );

  const numbers = (colour) => colour.match(/[\d.]+/g).map(Number);
  const luminance = (colour) => {
    const linear = numbers(colour)
      .map((value) => value / 255)
      .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const ground = (element) => {
    const colour = getComputedStyle(element).backgroundColor;
    const clear = numbers(colour)[3] === 0;
    return clear && element.parentElement ? ground(element.parentElement) : colour;
  };
  const contrast = (element) => {
    const levels = [getComputedStyle(element).color, ground(element)].map(luminance);
    return (Math.max(...levels) + 0.05) / (Math.min(...levels) + 0.05);
  };
  const hasText = (element) =>
    [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  const faint = shown("body *").filter((element) => hasText(element) && contrast(element) < 4.5);

  return {
    tooSmall: tooSmall.map(called),
    unnamed: unnamed.map(called),
    overlaps,
    faint: faint.map(called),
    wider: document.documentElement.scrollWidth > innerWidth,
  };
};
