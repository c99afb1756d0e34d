/** The project's images: their names and Containerfiles. */

export const IMAGES = ['worker', 'predictor', 'ml'] as const;
export type Image = (typeof IMAGES)[number];

/** Name in the manifests, without registry and tag. */
export const imageName = (image: Image): string => `shelfcast-${image}`;

/** Path of the Containerfile, relative to the project's folder, which is the build context. */
export const containerfile = (image: Image): string => `infra/images/${image}.Containerfile`;

/** Name with registry and path; `registry` is '' for a local image. */
export const repository = (image: Image, registry: string): string =>
  registry === '' ? imageName(image) : `${registry}/${imageName(image)}`;
