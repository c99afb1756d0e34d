/** Plan of the feature reads of a request: entities and columns of each view, and the place of each value. */
import type { ModelFeature, ModelManifest } from '../contracts/model.ts';
import type { Entities } from './feast-tables.ts';

type View = ModelFeature['view'];

/** Instance with features from Feast's online tables. */
export interface FeatureRow {
  /** Index of the instance in the request, and its row in the feature matrix. */
  instance: number;
  /** Numbers of store and department, which the tables have as keys. */
  store: number;
  dept: number;
  /** Weeks ahead; undefined until the origin of the series is known. */
  horizon: number | undefined;
}

/** Columns of a view that one prepared statement reads. */
interface ColumnSelection {
  /** Name of the prepared statement. */
  statement: string;
  names: readonly string[];
  /** Index in `names` of each feature of the view, by horizon. */
  columnOf: ReadonlyMap<number, Int32Array>;
}

/** The part of the feature matrix that one view fills. */
interface ViewFeatures {
  view: View;
  table: string;
  /** Columns of the view's features in the feature matrix. */
  positions: Int32Array;
  allHorizons: ColumnSelection;
  byHorizon: ReadonlyMap<number, ColumnSelection>;
}

export interface ModelViews {
  sales: ViewFeatures;
  /** Views with one row per store. */
  stores: readonly ViewFeatures[];
  calendar: ViewFeatures | undefined;
}

/** One query: a view's columns for the distinct entities of the rows. */
export interface ViewRead {
  view: ViewFeatures;
  columns: ColumnSelection;
  entities: Entities;
  /** For each row, the index of its entity. */
  entityOf: Int32Array;
}

export interface UniqueKeys {
  /** Index of the first row with each key, in order of appearance. */
  representatives: number[];
  /** For each row, the index of its key among the representatives. */
  indexOf: Int32Array;
}

export function uniqueKeys(keys: readonly (string | number)[]): UniqueKeys {
  const known = new Map<string | number, number>();
  const representatives: number[] = [];
  const indexOf = Int32Array.from(keys, (key, row) => {
    const index = known.get(key);
    if (index !== undefined) return index;
    known.set(key, representatives.length);
    return representatives.push(row) - 1;
  });
  return { representatives, indexOf };
}

function selectColumns(
  view: View,
  name: string,
  columns: readonly string[],
  horizons: readonly number[],
): ColumnSelection {
  const indexOf = new Map<string, number>();
  const columnOf = horizons.map((horizon): [number, Int32Array] => [
    horizon,
    Int32Array.from(columns, (column) => {
      const columnName = column.replaceAll('{horizon}', String(horizon));
      const index = indexOf.get(columnName) ?? indexOf.size;
      indexOf.set(columnName, index);
      return index;
    }),
  ]);
  return { statement: `${view}:${name}`, names: [...indexOf.keys()], columnOf: new Map(columnOf) };
}

function viewFeatures(manifest: ModelManifest, view: View): ViewFeatures | undefined {
  const features = manifest.features.flatMap((feature, position) =>
    feature.view === view ? [{ column: feature.column, position }] : [],
  );
  if (features.length === 0) return undefined;
  const columns = features.map(({ column }) => column);
  const horizons = Array.from({ length: manifest.horizonWeeks }, (_, i) => i + 1);
  return {
    view,
    table: `${manifest.feastProject}_${view}`,
    positions: Int32Array.from(features, ({ position }) => position),
    allHorizons: selectColumns(view, 'all', columns, horizons),
    byHorizon: new Map(horizons.map((h) => [h, selectColumns(view, String(h), columns, [h])])),
  };
}

export function viewsOf(manifest: ModelManifest): ModelViews {
  const sales = viewFeatures(manifest, 'sales_history');
  if (sales === undefined) throw new TypeError('the manifest names no feature of sales_history');
  return {
    sales,
    stores: (['store_externals', 'store_attributes'] as const).flatMap(
      (view) => viewFeatures(manifest, view) ?? [],
    ),
    calendar: viewFeatures(manifest, 'calendar'),
  };
}

/**
 * Returns the columns of one horizon when all rows share it and it is known, else those of all horizons: any other set would need another
 * prepared statement.
 */
function selectionFor(view: ViewFeatures, rows: readonly FeatureRow[]): ColumnSelection {
  const horizon = rows[0]?.horizon;
  const isOnly = horizon !== undefined && rows.every((row) => row.horizon === horizon);
  return (isOnly ? view.byHorizon.get(horizon) : undefined) ?? view.allHorizons;
}

/** Plans the reads that depend on the instances alone. */
export function planSeries(
  views: ModelViews,
  rows: readonly FeatureRow[],
): { sales: ViewRead; stores: ViewRead[] } {
  const series = uniqueKeys(rows.map(({ store, dept }) => `${store}/${dept}`));
  const stores = uniqueKeys(rows.map(({ store }) => store));
  const valuesOf = (key: 'store' | 'dept', { representatives }: UniqueKeys): number[] =>
    representatives.map((row) => (rows[row] as FeatureRow)[key]);
  return {
    sales: {
      view: views.sales,
      columns: selectionFor(views.sales, rows),
      entities: {
        names: ['store', 'dept'],
        type: 'bigint',
        values: [valuesOf('store', series), valuesOf('dept', series)],
      },
      entityOf: series.indexOf,
    },
    stores: views.stores.map((view) => ({
      view,
      columns: selectionFor(view, rows),
      entities: { names: ['store'], type: 'bigint', values: [valuesOf('store', stores)] },
      entityOf: stores.indexOf,
    })),
  };
}

/** Plans the read of the calendar, which needs each row's target week, an ISO date. */
export function planCalendar(
  view: ViewFeatures,
  rows: readonly FeatureRow[],
  targetWeeks: readonly string[],
): ViewRead {
  const { representatives, indexOf } = uniqueKeys(targetWeeks);
  const values = representatives.map((row) => targetWeeks[row] as string);
  return {
    view,
    columns: selectionFor(view, rows),
    entities: { names: ['week'], type: 'text', values: [values] },
    entityOf: indexOf,
  };
}
