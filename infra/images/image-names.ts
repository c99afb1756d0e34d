/** The project's images: what each is called, and the file that it is built from. */

export const IMAGES = ['worker', 'predictor', 'ml'] as const;
export type Image = (typeof IMAGES)[number];

/** As manifests name it, without registry and tag. */
export const imageName = (image: Image): string => `shelfcast-${image}`;

/** Relative to the project's folder, which is the context of the build. */
export const containerfile = (image: Image): string => `infra/images/${image}.Containerfile`;

/** With the registry and path that it is in; '' where it is in none. */
export const repository = (image: Image, registry: string): string =>
  registry === '' ? imageName(image) : `${registry}/${imageName(image)}`;
