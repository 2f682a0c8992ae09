/**
 * Make the folder that is published, `node pack.mjs ../build/npm`: the module as it stands and minified, its types, the
 * license, and a README whose links lead to the repository. Needs the esbuild of package-lock.json: `npm ci` before.
 */

import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import { transform } from 'esbuild';

const LONGEST_BYTES = 15_000; // minified and gzipped: what a page waits for before it can ring

const folder = process.argv[2];
const here = (name) => new URL(name, import.meta.url);
const { scripts, devDependencies, ...described } = JSON.parse(await readFile(here('package.json'), 'utf8'));
const repository = process.env.TIELINE_REPOSITORY ?? described.repository.url.replace(/^git\+|\.git$/g, '');

const source = await readFile(here('tieline.js'), 'utf8');
const OUR_OWN = /^_[a-z]/; // names that the module's classes have for each other only: nobody else's are like that
const { code } = await transform(source, { minify: true, mangleProps: OUR_OWN, format: 'esm', target: 'es2022', legalComments: 'none' });
const minified = `/*! tieline ${described.version}, ${described.license} */\n${code}`;
const size = gzipSync(minified, { level: 9 }).length;
if (size > LONGEST_BYTES) throw new Error(`tieline.min.js has ${size} bytes gzipped, more than ${LONGEST_BYTES}`);

/** Where a link of the repository's page leads to from outside. */
const outside = (link) => {
  const { pathname, hash } = new URL(link, 'file:///web/README.md');
  return `${repository}/blob/main${pathname.replace(/\/$/, '')}${hash}`;
};
const readme = await readFile(here('README.md'), 'utf8');
const linked = readme.replace(/\]\((?!https?:|#)([^)\s]+)\)/g, (_, link) => `](${outside(link)})`);

await rm(folder, { recursive: true, force: true });
await mkdir(folder, { recursive: true });
for (const name of ['tieline.js', 'tieline.d.ts', 'LICENSE']) await cp(here(name), `${folder}/${name}`);
await writeFile(`${folder}/tieline.min.js`, minified);
await writeFile(`${folder}/README.md`, linked);
const published = { ...described, repository: { ...described.repository, url: `git+${repository}.git` } };
await writeFile(`${folder}/package.json`, `${JSON.stringify(published, null, 2)}\n`);
console.log(`${folder}: tieline.min.js has ${minified.length} bytes, ${size} gzipped`);
if (new URL(repository).hostname.endsWith('example.com')) {
  console.warn('before it is published: TIELINE_REPOSITORY=https://... says where this repository is');
}
