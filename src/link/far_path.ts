/** From this round trip on TCP takes longer to find a path's rate than a carrier's trial lasts, ms. */
export const FAR_ROUND_TRIP_MS = 250;
