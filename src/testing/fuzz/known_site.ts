/** An identity made for this purpose: inputs that name it have to stay the same from run to run. */
const CERTIFICATE =
  "MIIBYjCCAQegAwIBAgIQR78PQlvKUNGXH9rjrAgnAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDEwR3ZXN0MB4X" +
  "DTY5MTIzMDAwMDAwMFoXDTk5MTIyNTAwMDAwMFowDzENMAsGA1UEAxMEd2VzdDBZMBMGByqGSM49AgEGCCqG" +
  "SM49AwEHA0IABBszWcKn6Vl4dZDEkv2f1A89eda/ZPLeZzOr9aDelQVurRvA/wigj2JHZz2EsIcebNQPJy7u" +
  "g3KAxK+jLA07Mf+jRTBDMBIGA1UdEwEB/wQIMAYBAf8CAQAwDgYDVR0PAQH/BAQDAgKEMB0GA1UdDgQWBBSr" +
  "LZzBUHfJCwiRoFufJ3SmYprKqTAKBggqhkjOPQQDAgNJADBGAiEA/zFmiast6FAJYwFaxBegcWo4Ft4R912K" +
  "eXCQZHMta3QCIQCX4IrGQEQALj5d9RhqGLTasJ6wJO0X6mv9BWiQSzFlow==";
const KEY = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgpT3M/YTm/XYqeNEsH8PPdNMx0ioUaZiIWBcC" +
  "ex8LsD+hRANCAAQbM1nCp+lZeHWQxJL9n9QPPXnWv2Ty3mczq/Wg3pUFbq0bwP8IoI9iR2c9hLCHHmzUDycu" +
  "7oNygMSvoywNOzH/";

/** Certificate and key of a site that nobody runs. */
export const KNOWN_SITE = {
  certificatePem: pem("CERTIFICATE", CERTIFICATE),
  keyPem: pem("PRIVATE KEY", KEY),
} as const;

function pem(label: string, base64: string): string {
  return `-----BEGIN ${label}-----\n${base64.replace(/.{1,64}/g, "$&\n")}-----END ${label}-----\n`;
}
