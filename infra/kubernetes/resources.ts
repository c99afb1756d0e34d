/** Schema of a container's CPU and memory. */
import { z } from 'zod';

/** A Kubernetes quantity; YAML reads `cpu: 2` as a number. */
const quantity = z.union([z.string().min(1), z.number().positive()]).transform(String);

export const resourcesSchema = z.strictObject({
  requests: z.record(z.string(), quantity).default({}),
  limits: z.record(z.string(), quantity).default({}),
});
export type Resources = z.output<typeof resourcesSchema>;
