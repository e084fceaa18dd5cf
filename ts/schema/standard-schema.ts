/** The validator interface that Tidemark needs: standardschema.dev, version 1, which zod, valibot and arktype implement. */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

export type StandardResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly StandardIssue[] }

export interface StandardIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/** A validator's input type. */
export type InferInput<S extends StandardSchema> = NonNullable<S['~standard']['types']>['input']

/** A validator's output type. */
export type InferOutput<S extends StandardSchema> = NonNullable<S['~standard']['types']>['output']
