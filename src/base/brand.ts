declare const tag: unique symbol;

/** A number or string that must not be mixed with another of the same primitive type. */
export type Brand<T, K extends string> = T & { readonly [tag]: K };
