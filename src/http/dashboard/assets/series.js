/** Points of one chart; past this every other one goes, so that a day's move stays drawable. */
const POINTS_MAX = 1200;
/** Closer ones say no more, and a rate over less is noise. */
const STEP_MS = 250;

/** What is drawn of one move, column by column; times in seconds as the chart library wants them. */
export function newSeries() {
  return {
    seconds: [],
    throughput: [],
    remaining: [],
    dirty: [],
    forecast: [],
    budget: [],
    last: null,
  };
}

/** Adds a report; false when it came too soon after the one before to be a point of its own. */
export function addReport(series, report, nowMs) {
  const { last } = series;
  if (last !== null && nowMs - last.ms < STEP_MS) return false;
  const total = report.wireBytes.total;
  const sent = last === null ? null : Math.max(0, total - last.total) * 1000 / (nowMs - last.ms);
  series.last = { ms: nowMs, total };
  series.seconds.push(nowMs / 1000);
  series.throughput.push(sent);
  series.remaining.push(remainingBytes(report));
  series.dirty.push(report.memory.dirtyBytesPerSecond);
  series.forecast.push(report.forecast?.budgetedMs ?? null);
  series.budget.push(report.maxDowntimeMs);
  if (series.seconds.length > POINTS_MAX) thin(series);
  return true;
}

/** Memory and disks together; null while nothing of it is known. */
export function remainingBytes({ memory, disks }) {
  const known = [memory.remainingBytes, ...disks.map((disk) => disk.remainingBytes)]
    .filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0);
}

function thin(series) {
  for (const [name, column] of Object.entries(series)) {
    if (Array.isArray(column)) series[name] = column.filter((_, at) => at % 2 === 0);
  }
}
