-- The id that is shown for each number.
create view raw.current_id as
select dataset, "of", number, id
from (
  select distinct on (dataset, "of", id) dataset, "of", id, number, is_current
  from raw.id
  order by dataset, "of", id, batch_id desc
) as newest
where is_current;

-- ops.forecast and ops.forecast_accuracy with the user's ids of stores and departments.
create view ops.forecast_by_id as
select f.model_name, f.model_version, f.dataset, f.origin, coalesce(s.id, f.store::text) as store,
  coalesce(d.id, f.dept::text) as dept, f.horizon, f.target_week, f.p10, f.p50, f.p90, f.made_at
from ops.forecast f
left join raw.current_id s on s.dataset = f.dataset and s."of" = 'store' and s.number = f.store
left join raw.current_id d on d.dataset = f.dataset and d."of" = 'dept' and d.number = f.dept;

create view ops.forecast_accuracy_by_id as
select a.model_name, a.model_version, a.dataset, a.origin, coalesce(s.id, a.store::text) as store,
  coalesce(d.id, a.dept::text) as dept, a.horizon, a.target_week, a.p50, a.actual, a.inside_80, a.snapshot_id,
  a.recorded_at
from ops.forecast_accuracy a
left join raw.current_id s on s.dataset = a.dataset and s."of" = 'store' and s.number = a.store
left join raw.current_id d on d.dataset = a.dataset and d."of" = 'dept' and d.number = a.dept;
