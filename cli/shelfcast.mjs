#!/usr/bin/env node
// The `shelfcast` command: TypeScript without a build step.
import { register } from 'tsx/esm/api';

register();
await import('./main.ts');
