/** The router's admin API and state file: versions, addresses and traffic weights by model. */
import { z } from 'zod';

const routeSchema = z.strictObject({
  version: z.int().min(1),
  /** Base URL of the predictor. */
  url: z.url({ protocol: /^https?$/ }),
  weightPercent: z.int().min(0).max(100),
});

const modelRoutesSchema = z.array(routeSchema).superRefine((routes, context) => {
  const versions = new Set(routes.map(({ version }) => version));
  if (versions.size < routes.length) context.addIssue({ code: 'custom', message: 'names a version twice' });
  const sum = routes.reduce((total, { weightPercent }) => total + weightPercent, 0);
  if (sum !== 0 && sum !== 100) {
    context.addIssue({
      code: 'custom',
      message: `the weights add up to ${sum}, not to 100 (or to 0: no traffic yet)`,
    });
  }
});

export const routesSchema = z.strictObject({ models: z.record(z.string().min(1), modelRoutesSchema) });

export type Route = z.infer<typeof routeSchema>;
export type Routes = z.infer<typeof routesSchema>;
