/** The elements of the page, and how others are made. */

export const $ = (id) => document.getElementById(id);

export function make(tag, { text, ...properties } = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  if (text !== undefined) element.textContent = text;
  element.append(...children);
  return element;
}

export function avatar(user) {
  const face = make('span', { className: 'avatar', text: [...user][0]?.toUpperCase() ?? '?', ariaHidden: 'true' });
  const hue = [...user].reduce((sum, letter) => (sum + letter.codePointAt(0) * 137.5) % 360, 40); // by the golden angle
  face.style.setProperty('--hue', hue);
  return face;
}

export function icon(name) {
  const [picture, use] = ['svg', 'use'].map((tag) => document.createElementNS('http://www.w3.org/2000/svg', tag));
  use.setAttribute('href', `#${name}`);
  picture.setAttribute('aria-hidden', 'true');
  picture.append(use);
  return picture;
}

/** Change what an element says; one that says it already stays as it is, so that nothing is read out twice. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A bar that shows how loud something is. Whoever hears the page is told once a second, by `tell`. */
export function meter(label) {
  const bar = make('div', { className: 'meter', role: 'meter' }, make('i'));
  for (const [name, value] of Object.entries({ label, valuemin: 0, valuemax: 100, valuenow: 0 })) bar.setAttribute(`aria-${name}`, value);
  return bar;
}

/** `level` from 0 to 1. */
export function show(bar, level) {
  bar.firstElementChild.style.setProperty('--level', level.toFixed(3));
}

export function tell(bar, level) {
  bar.setAttribute('aria-valuenow', Math.round(level * 100));
}
