export { startRecording } from './open-telemetry.ts'
export {
  currentTraceId,
  currentTraceparent,
  inSpan,
  noteRoute,
  recordedTraceparent,
  type SpanStart,
} from './spans.ts'
export { traceRequests } from './trace-requests.ts'
