// Starts Swagger UI on the page of the API reference.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const place = document.getElementById("reference");
  const token = place.dataset.csrfToken;

  // With an API key, the key alone counts. Else the browser sends the session's cookie, and a request that changes
  // something must carry the session's token. Neither leaves this site.
  function prepare(request) {
    const target = new URL(request.url, location.href);
    if (token && target.origin === location.origin && !request.headers.Authorization) {
      request.headers["X-CSRF-Token"] = token;
    }
    return request;
  }

  SwaggerUIBundle({
    domNode: place,
    url: place.dataset.document,
    presets: [SwaggerUIBundle.presets.apis],
    layout: "BaseLayout",
    deepLinking: true,
    docExpansion: "none",
    defaultModelsExpandDepth: 0,
    displayRequestDuration: true,
    filter: true,
    persistAuthorization: false,
    requestInterceptor: prepare,
    showExtensions: false,
    // The session's token is of no use in a copied command, and is nobody else's.
    showMutatedRequest: false,
    validatorUrl: null,
  });
});
