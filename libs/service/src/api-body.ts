import express, { type RequestHandler } from 'express'
import { anonymous } from './principal.ts'

const ofCallers = express.json({ limit: '1mb' })
// What anybody may send is a login: to read and check more costs whoever sends it nothing, and everybody else the time.
const ofStrangers = express.json({ limit: '16kb' })

/** Reads a JSON body, after it was found out who sends it. */
export const readBody: RequestHandler = (request, response, next) => {
  const read = response.locals.principal === anonymous ? ofStrangers : ofCallers
  read(request, response, next)
}
