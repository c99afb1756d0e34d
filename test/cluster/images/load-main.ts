/** `load [NAME...]`: makes the dev cluster's node know the images; a line of JSON for each. */
import type { TestImage } from './images.ts';
import { loadImages, TEST_IMAGES } from './images.ts';

const named = process.argv.slice(2);
const unknown = named.filter((name) => !TEST_IMAGES.some((known) => known === name));
if (unknown.length > 0) {
  process.stderr.write(`load: no image ${unknown.join(', ')}; there are ${TEST_IMAGES.join(', ')}\n`);
  process.exit(2);
}
for (const name of named.length > 0 ? (named as TestImage[]) : TEST_IMAGES) {
  const begin = Date.now();
  const { [name]: image } = await loadImages([name]);
  process.stdout.write(`${JSON.stringify({ name, image, seconds: (Date.now() - begin) / 1000 })}\n`);
}
